// The log: lines for people or JSON objects on standard error, or systemd's journal. In the last
// two an event has its name, change and subject in fields. Any thread.
#pragma once

#include "control/config/config.h"
#include "control/events/event.h"

namespace penstock {

// Once, before the first line.
void start_log(const LogOptions& options);
void set_log_level(LogLevel level);

// What is no event goes through the functions of spdlog.
void log_event(const Event& event);

}  // namespace penstock
