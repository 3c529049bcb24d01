#include "control/cli/doctor/doctor.h"

#include <array>
#include <fmt/format.h>

#include "control/cli/doctor/look.h"
#include "control/cli/json_fields.h"

namespace penstock::cli {

namespace {

// What came from files of this host may hold anything: nothing of it moves a terminal's cursor.
std::string harmless(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

std::optional<Ways> ask_node(const DoctorOptions& options, const Facts& facts) {
  if (!options.ask) return std::nullopt;
  const std::string socket = facts.config ? facts.config->api.socket : "";
  try {
    return ways_in(options.ask("ListLinks", socket), options.ask("ListPorts", socket));
  } catch (const Failure& failure) {
    return Ways{failure.what(), {}};
  }
}

}  // namespace

Exit doctor(const Io& io, const DoctorOptions& options) {
  Facts facts = look_at(options.root, options.config);
  if (options.root == "/") {
    facts.verbs = ask_daemon_for_verbs();
    facts.ways = ask_node(options, facts);
  }
  std::array<size_t, 3> count{};  // by level
  nlohmann::json rows = nlohmann::json::array();
  for (const Check& check : checks())
    for (const Finding& f : check.judge(facts)) {
      count[static_cast<size_t>(f.level)]++;
      if (options.json) {
        rows.push_back(
            {{"check", check.name}, {"level", text(f.level)}, {"says", f.says}, {"mend", f.mend}});
        continue;
      }
      io.out << fmt::format("{:<8} {:<13} {}\n", text(f.level), check.name, harmless(f.says));
      if (!f.mend.empty()) io.out << fmt::format("{:23}mend: {}\n", "", harmless(f.mend));
    }
  if (options.json)
    io.out << json_text(
        {{"checks", rows}, {"ok", count[0]}, {"warnings", count[1]}, {"errors", count[2]}}, 2);
  else
    io.out << fmt::format("{} ok, {} warning(s), {} error(s)\n", count[0], count[1], count[2]);
  return count[2] == 0 ? Exit::kOk : Exit::kFailed;
}

std::string checks_markdown() {
  std::string out;
  for (const Check& check : checks())
    out += fmt::format("| `{}` | {} |\n", check.name, check.looks_at);
  return out;
}

}  // namespace penstock::cli
