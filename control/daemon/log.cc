#include "control/daemon/log.h"

#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace penstock {
namespace {

using Level = spdlog::level::level_enum;

constexpr const char* kTime = "%Y-%m-%d %H:%M:%S.%e";
constexpr const char* kJsonTime = R"("time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l")";

// Each with a sink of its own, and so with a pattern of its own.
std::shared_ptr<spdlog::logger> g_lines;
std::shared_ptr<spdlog::logger> g_events;
LogFormat g_format{};

// As syslog counts them.
int priority(Level level) {
  constexpr int kPriority[] = {7, 7, 6, 4, 3, 2, 7};
  return kPriority[level];
}

class Journal final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& m) override {
    sd_journal_send("MESSAGE=%.*s", static_cast<int>(m.payload.size()), m.payload.data(),
                    "PRIORITY=%d", priority(m.level), "SYSLOG_IDENTIFIER=penstockd", nullptr);
  }
  void flush_() override {}
};

std::string json_text(std::string_view text) {
  using nlohmann::json;
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// %* in a pattern: the text, in which nobody ends the line who only has a name there.
class Text final : public spdlog::custom_flag_formatter {
 public:
  explicit Text(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& m, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    std::string line(m.payload.data(), m.payload.size());
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    if (json_) line = json_text(line);
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Text>(json_);
  }

 private:
  const bool json_;
};

std::shared_ptr<spdlog::logger> logger(const char* name, const std::string& pattern) {
  if (g_format == LogFormat::kJournald)
    return std::make_shared<spdlog::logger>(name, std::make_shared<Journal>());
  auto made = spdlog::stderr_logger_mt(name);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<Text>('*', g_format == LogFormat::kJson).set_pattern(pattern);
  made->set_formatter(std::move(formatter));
  return made;
}

Level level_of(Severity severity) {
  constexpr Level kLevels[] = {spdlog::level::info, spdlog::level::warn, spdlog::level::err};
  return kLevels[static_cast<size_t>(severity)];
}

}  // namespace

void set_log_level(LogLevel level) {
  constexpr Level kLevels[] = {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                               spdlog::level::warn,  spdlog::level::err,   spdlog::level::off};
  g_lines->set_level(kLevels[static_cast<size_t>(level)]);
  g_events->set_level(kLevels[static_cast<size_t>(level)]);
}

void start_log(const LogOptions& options) {
  g_format = options.format;
  const bool json = g_format == LogFormat::kJson;
  const std::string people = fmt::format("{} %l %*", kTime);
  g_lines = logger("penstockd", json ? fmt::format(R"({{{},"text":%*}})", kJsonTime) : people);
  g_events = logger("events", json ? fmt::format("{{{},%v}}", kJsonTime) : people);
  set_log_level(options.level);
  spdlog::set_default_logger(g_lines);
}

void log_event(const Event& e) {
  const EventRow& what = row(e.name);
  const Level level = level_of(e.severity());
  if (g_format == LogFormat::kJson) {
    g_events->log(
        level, R"("event":"{}","change":"{}","subject":{},"number":{},"suppressed":{},"text":{})",
        what.name, text(e.change), json_text(e.subject), e.number, e.suppressed, json_text(e.text));
    return;
  }
  if (g_format == LogFormat::kJournald) {
    if (!g_events->should_log(level)) return;
    sd_journal_send("MESSAGE=%s", e.text.c_str(), "PRIORITY=%d", priority(level),
                    "SYSLOG_IDENTIFIER=penstockd", "PENSTOCK_EVENT=%s", what.name.data(),
                    "PENSTOCK_CHANGE=%s", text(e.change).data(), "PENSTOCK_SUBJECT=%s",
                    e.subject.c_str(), "PENSTOCK_NUMBER=%llu",
                    static_cast<unsigned long long>(e.number), "PENSTOCK_SUPPRESSED=%llu",
                    static_cast<unsigned long long>(e.suppressed), nullptr);
    return;
  }
  const std::string more =
      e.suppressed == 0 ? "" : fmt::format(" ({} more {} were not said)", e.suppressed, what.name);
  std::string head = e.name == EventName::kNote ? "" : fmt::format("{}: ", what.name);
  if (e.change != Change::kNoted) head = fmt::format("{} {}: ", what.name, text(e.change));
  g_events->log(level, "{}{}{}", head, e.text, more);
}

}  // namespace penstock
