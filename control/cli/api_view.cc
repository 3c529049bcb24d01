#include "control/cli/api_view.h"

#include <algorithm>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "control/cli/exit.h"
#include "control/cli/human.h"
#include "control/cli/json_fields.h"
#include "control/cli/show.h"
#include "control/cli/table.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

// A number, or nothing where there is none or it is not known.
std::string known(const json& row, const char* key) {
  return num(row, key) == 0 ? "" : fmt::format("{}", num(row, key));
}

std::string count(const json& row, const char* key) {
  return row.contains(key) ? fmt::format("{}", num(row, key)) : "";
}

// "a, b, c"
std::string words(const json& row, const char* key) {
  return fmt::format("{}", fmt::join(list(row, key).get<std::vector<std::string>>(), ", "));
}

std::string nodes(const json& answer) {
  Table table(
      {">NODE", "NAME", ">EPOCH", "STATE", ">LINKS UP", "ADDRESSES", "KNOWN FROM", "VERSION"});
  for (const json& n : list(answer, "nodes")) {
    const uint64_t links = num(n, "links");
    table.add({count(n, "id"), str(n, "name"), known(n, "epoch"), str(n, "state"),
               links == 0 ? "" : fmt::format("{} of {}", num(n, "links_up"), links),
               words(n, "addresses"), str(n, "source"), str(n, "version")});
  }
  return table.text();
}

std::string members(const json& answer) {
  std::string out =
      str(answer, "store") == "none"
          ? "no store: nodes are those in [[peer]] (store.kind)\n"
          : fmt::format("store {}: {}\n", str(answer, "store"),
                        str(answer, "trouble").empty() ? "heard" : str(answer, "trouble"));
  Table table({">NODE", "NAME", ">EPOCH", "PORTS", "VERSION", ""});
  for (const json& m : list(answer, "members"))
    table.add({count(m, "id"), str(m, "name"), known(m, "epoch"), words(m, "ports"),
               str(m, "version"), m.value("self", false) ? "this node" : ""});
  return table.empty() ? out : out + table.text();
}

std::string more(const json& answer) {
  return answer.value("more", false) ? "there are more: name what you look for, or give --limit\n"
                                     : "";
}

std::string topics(const json& answer) {
  Table table({"TOPIC", "PUBLISHERS", ">LANES", ">SUBSCRIPTIONS", ">GROUPS", ">NODES"});
  for (const json& t : list(answer, "topics"))
    table.add({str(t, "topic"), words(t, "publishers"), fmt::format("{}", list(t, "lanes").size()),
               count(t, "subscriptions"), count(t, "groups"), count(t, "nodes")});
  return table.empty() ? "no topics\n" : table.text() + more(answer);
}

std::string subscriptions(const json& answer) {
  Table table({"FILTER", "MODE", "POLICY", "PATH", "FROM", ">ID", "NAME", ">LANES", ">MESSAGES",
               ">BYTES", ">BLOCKS FOR", ">BY RDMA", ">BY FRAMES", ">COPIED", "STATE"});
  for (const json& s : list(answer, "subscriptions")) {
    const uint64_t bytes = num(s, "limit_bytes"), block = num(s, "block_ns");
    table.add({str(s, "filter"), str(s, "mode"), str(s, "policy"), str(s, "path"), str(s, "from"),
               count(s, "id"), str(s, "name"), known(s, "lanes"), known(s, "limit_messages"),
               bytes == 0 ? "" : human_bytes(static_cast<double>(bytes)),
               block == 0 ? "" : human_ns(static_cast<double>(block)), known(s, "by_rdma"),
               known(s, "by_frames"), known(s, "copied"),
               s.value("pending", false) ? "pending" : ""});
  }
  return table.empty() ? "no subscriptions\n" : table.text() + more(answer);
}

std::string changes(const json& answer) {
  Table table({"OPTION", "RUNS", "FILE", "APPLIES"});
  for (const json& c : list(answer, "changes")) {
    const auto side = [&](const char* key) { return str(c, key).empty() ? "-" : str(c, key); };
    table.add({str(c, "key"), side("running"), side("file"),
               !c.value("live", false)          ? "at a restart"
               : answer.value("applied", false) ? "now"
                                                : "at a reload"});
  }
  return table.empty() ? "nothing differs\n" : table.text();
}

std::string health(const json& answer) {
  Table table({"CHECK", "STATE", "WHY"});
  for (const json& c : list(answer, "checks"))
    table.add({str(c, "name"), c.value("good", false) ? "good" : "bad", str(c, "text")});
  return table.text() + (answer.value("healthy", false) ? "healthy\n" : "not healthy\n");
}

// "2026-11-22 05:01:02.123", of the host's clock and zone.
std::string time_of(const json& event) {
  const uint64_t ns = num(event, "unix_ns");
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm local{};
  localtime_r(&seconds, &local);
  return fmt::format("{:%F %T}.{:03}", local, ns / 1'000'000 % 1000);
}

std::string raised(const json& answer) {
  Table table({"SINCE", "SEVERITY", "EVENT", "ABOUT", "WHAT"});
  for (const json& e : list(answer, "raised"))
    table.add({time_of(e), str(e, "severity"), str(e, "name"), str(e, "subject"), str(e, "text")});
  return table.empty() ? "nothing is raised\n" : table.text();
}

}  // namespace

std::string event_line(const json& event) try {
  std::string line = fmt::format("{} {:<7} {} {}", time_of(event), str(event, "severity"),
                                 str(event, "name"), str(event, "change"));
  if (!str(event, "subject").empty()) line += " " + str(event, "subject");
  line += ": " + str(event, "text");
  if (const uint64_t n = num(event, "suppressed"); n != 0)
    line += fmt::format(" ({} like it were not told)", n);
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, '?');
  return line + "\n";
} catch (const json::exception& error) {
  throw Failure(Exit::kFailed, std::string("the node's event makes no sense: ") + error.what());
}

std::string api_view(std::string_view call, const json& answer) try {
  if (call == "ListLanes") return show("lanes", list(answer, "lanes"));
  if (call == "ListLinks") return show("links", list(answer, "links"));
  if (call == "ListClients") return show("clients", list(answer, "clients"));
  if (call == "ListNodes") return nodes(answer);
  if (call == "ListMembers") return members(answer);
  if (call == "ListTopics") return topics(answer);
  if (call == "ListSubscriptions") return subscriptions(answer);
  if (call == "CheckHealth") return health(answer);
  if (call == "ListEvents") return raised(answer);
  return changes(answer);
} catch (const json::exception& error) {
  throw Failure(Exit::kFailed,
                fmt::format("the node's answer to {} makes no sense: {}", call, error.what()));
}

}  // namespace penstock::cli
