// Commands over the API that may take a while: health, events, drain; and members remove.
#pragma once

#include <optional>

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

// `time_ns`: how long readers may take; none: as the node's config says. Returns when the node's
// process has ended, or, where that cannot be seen from here, when its API is gone.
Exit drain(const Io& io, const OpenApi& open, const SteerOptions& options,
           std::optional<uint64_t> time_ns);

Exit remove_member(const Io& io, const OpenApi& open, const SteerOptions& options, uint64_t id);

}  // namespace penstock::cli
