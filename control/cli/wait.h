// Commands over the API that may take a while: health, events.
#pragma once

#include "control/cli/steer.h"

namespace penstock::cli {

struct HealthOptions {
  bool until_healthy = false;  // ask again until it is, or time is up
};
Exit health(const Io& io, const OpenApi& open, const SteerOptions& options, const HealthOptions& h);

struct EventsOptions {
  bool follow = false;  // go on until ^C, or the node is gone
  bool raised = false;  // only what is so now
};
Exit events(const Io& io, const OpenApi& open, const SteerOptions& options, const EventsOptions& e);

}  // namespace penstock::cli
