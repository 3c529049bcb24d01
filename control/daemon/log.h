// The log, on standard error: lines for people, or JSON objects for programs, where an event has
// its name, change and subject in fields. Any thread.
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
