#include "control/config/docs.h"

#include <fmt/format.h>
#include <string_view>

#include "control/config/options.h"
#include "control/config/value.h"

namespace penstock {

namespace {

// The default as in the file.
std::string fallback(const Option& option) {
  if (option.fallback.empty()) return "";
  if (option.kind == Kind::kInteger) return std::string(option.fallback);
  return fmt::format("\"{}\"", option.fallback);
}

std::string heading(const Section& section) {
  return section.many ? fmt::format("[[{}]]", section.name) : fmt::format("[{}]", section.name);
}

std::string live(const Option& option) {
  return option.applies == Applies::kLive ? "SIGHUP" : "restart";
}

}  // namespace

std::string help() {
  std::string out = "Options of the config file (TOML; penstock config example prints one):\n";
  for (const Section& section : sections()) {
    out += fmt::format("\n{}  {}\n", heading(section), section.text);
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      const std::string value = fallback(option);
      out += fmt::format("  {:<14} {}\n{:17}{}{}{}\n", option.name(), option.text, "",
                         allowed(option), option.required ? "; must be given" : "",
                         value.empty() ? "" : fmt::format("; default {}", value));
    }
  }
  return out;
}

std::string example(const std::map<std::string, std::string>& values) {
  std::string out =
      "# Config of penstockd. Every option stands here with its default; only node.id, and name,\n"
      "# device and address of a port, id and address of a peer, and who and allow of a rule, "
      "must\n"
      "# be given. An unknown key is an error. Check a file with: penstock config check FILE\n";
  for (const Section& section : sections()) {
    // Ports, peers and rules have no default: shown, but commented out.
    const std::string_view comment = section.many ? "# " : "";
    out += fmt::format("\n# {}\n{}{}\n", section.text, comment, heading(section));
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      const auto given = values.find(std::string(option.key));
      const std::string value = given != values.end() ? given->second : fallback(option);
      const std::string_view off = value.empty() && !option.required ? "# " : comment;
      out += fmt::format("\n# {}\n# {}{}\n{}{} = {}\n", option.text, allowed(option),
                         option.required ? "; must be given" : "", off, option.name(),
                         value.empty() ? std::string(option.sample) : value);
    }
  }
  return out;
}

std::string markdown() {
  std::string out =
      "# Options\n\nMade from the table in `control/config/options.cc` by `penstock config "
      "markdown`. \"must\" marks what has\nto be given; \"takes effect\" says whether a changed "
      "value needs a restart or is taken on SIGHUP.\n";
  for (const Section& section : sections()) {
    out += fmt::format(
        "\n## {}\n\n{}\n\n| key | default | allowed | takes effect | what |\n"
        "|---|---|---|---|---|\n",
        heading(section), section.text);
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      const std::string value = fallback(option);
      const std::string shown = value.empty() ? "" : fmt::format("`{}`", value);
      out +=
          fmt::format("| `{}` | {} | {} | {} | {} |\n", option.name(),
                      option.required ? "must" : shown, allowed(option), live(option), option.text);
    }
  }
  return out;
}

std::string full(Config config) {
  std::string out;
  const auto table = [&](const Section& section, Target target) {
    out += fmt::format("{}{}\n", out.empty() ? "" : "\n", heading(section));
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      const std::string value = written(option, option.slot(target));
      if (!value.empty()) out += fmt::format("{} = {}\n", option.name(), value);
    }
  };
  for (const Section& section : sections()) {
    if (!section.many) table(section, {&config});
    if (section.name == "port") {
      for (PortOptions& port : config.ports)
        table(section, {&config, &port});
    }
    if (section.name == "peer") {
      for (PeerOptions& peer : config.peers)
        table(section, {&config, nullptr, &peer});
    }
    if (section.name == "rule") {
      for (Rule& rule : config.rules)
        table(section, {&config, nullptr, nullptr, &rule});
    }
  }
  return out;
}

}  // namespace penstock
