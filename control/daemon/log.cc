#include "control/daemon/log.h"

#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace penstock {
namespace {

using Level = spdlog::level::level_enum;

constexpr const char* kTime = "%Y-%m-%d %H:%M:%S.%e";
constexpr const char* kJsonTime = R"("time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l")";

// Each with a sink of its own, and so with a pattern of its own.
std::shared_ptr<spdlog::logger> g_lines;
std::shared_ptr<spdlog::logger> g_events;
bool g_json = false;

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
  auto made = spdlog::stderr_logger_mt(name);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<Text>('*', g_json).set_pattern(pattern);
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
  g_json = options.format == LogFormat::kJson;
  const std::string people = fmt::format("{} %l %*", kTime);
  g_lines = logger("penstockd", g_json ? fmt::format(R"({{{},"text":%*}})", kJsonTime) : people);
  g_events = logger("events", g_json ? fmt::format("{{{},%v}}", kJsonTime) : people);
  set_log_level(options.level);
  spdlog::set_default_logger(g_lines);
}

void log_event(const Event& e) {
  const EventRow& what = row(e.name);
  if (g_json) {
    g_events->log(
        level_of(e.severity()),
        R"("event":"{}","change":"{}","subject":{},"number":{},"suppressed":{},"text":{})",
        what.name, text(e.change), json_text(e.subject), e.number, e.suppressed, json_text(e.text));
    return;
  }
  const std::string more =
      e.suppressed == 0 ? "" : fmt::format(" ({} more {} were not said)", e.suppressed, what.name);
  g_events->log(level_of(e.severity()), "{} {}: {}{}", what.name, text(e.change), e.text, more);
}

}  // namespace penstock
