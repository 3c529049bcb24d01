#include "control/cli/show.h"

#include <fmt/format.h>
#include <vector>

#include "control/cli/exit.h"
#include "control/cli/human.h"
#include "control/cli/json_fields.h"
#include "control/cli/table.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

// The number exactly, or nothing when the node does not send it.
std::string count(const json& object, const char* key) {
  return object.contains(key) ? fmt::format("{}", num(object, key)) : "";
}
std::string bytes(const json& object, const char* key) {
  return object.contains(key) ? human_bytes(static_cast<double>(num(object, key))) : "";
}
std::string ns(const json& object, const char* key) {
  return object.contains(key) ? human_ns(static_cast<double>(num(object, key))) : "";
}

// "overrun 3, evicted 1"
std::string reasons(const json& dropped) {
  std::vector<std::string> texts;
  for (const auto& [reason, n] : dropped.items()) {
    if (n.get<uint64_t>() != 0) texts.push_back(fmt::format("{} {}", reason, n.get<uint64_t>()));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string lanes(const json& answer) {
  Table table({">LANE", "KIND", "OWNER", "NAME", "READER", "MODE", ">SENT", ">DELIVERED",
               ">DROPPED", ">IN FLIGHT", "IDENTITY", "CLOSED", "WHY DROPPED"});
  size_t readers = 0, holds = 0;
  for (const json& lane : answer) {
    const auto row = [&](const json& reader, const std::string& who) {
      const Account account = account_of(reader);
      readers++;
      holds += account.unaccounted() == 0 ? 1 : 0;
      table.add(
          {count(lane, "id"), str(lane, "kind"), str(lane, "owner"), str(lane, "name"), who,
           str(reader, "mode"), fmt::format("{}", account.sent),
           fmt::format("{}", account.delivered), fmt::format("{}", account.dropped),
           fmt::format("{}", account.in_flight),
           account.unaccounted() == 0 ? "holds" : fmt::format("off by {}", account.unaccounted()),
           str(lane, "closed"), reasons(reader.value("dropped", json::object()))});
    };
    for (const json& reader : list(lane, "readers"))
      row(reader, str(reader, "who"));
    const bool left = lane.contains("left") && num(lane["left"], "sent") != 0;
    if (left) row(lane["left"], "(left)");
    if (list(lane, "readers").empty() && !left) {
      table.add({count(lane, "id"), str(lane, "kind"), str(lane, "owner"), str(lane, "name"), "-",
                 "", count(lane, "sent"), "", "", "", "", str(lane, "closed"), ""});
    }
  }
  if (table.empty()) return "no lanes\n";
  return table.text() + fmt::format("sent = delivered + dropped + in flight: holds for {} of {}\n",
                                    holds, readers);
}

// The devices beside links, if there are any.
std::string rails(const json& answer) {
  Table table({"PEER", ">PATH", ">RAIL", "DEVICE", "STATE", ">CARRIES", ">SENT", ">BYTES OUT",
               ">RECEIVED", ">BYTES IN", ">BY FRAMES", ">ERRORS"});
  for (const json& link : answer) {
    if (!link.contains("rdma")) continue;
    uint64_t i = 0;
    for (const json& r : list(link["rdma"], "rails"))
      table.add({str(link, "peer"), count(link, "path"), fmt::format("{}", i++), str(r, "device"),
                 str(r, "state"),
                 num(r, "bytes_per_second") != 0 ? bytes(r, "bytes_per_second") + "/s" : "",
                 count(r, "messages_sent"), bytes(r, "bytes_sent"), count(r, "messages_received"),
                 bytes(r, "bytes_received"), bytes(r, "copied_bytes"), count(r, "errors")});
  }
  return table.empty() ? "" : "\n" + table.text();
}

std::string links(const json& answer) {
  Table table({"PEER",    ">PATH",   ">WORKER",    "PORT",         "STATE",    "LOCAL",
               "REMOTE",  ">RTT",    ">UP",        ">PACKETS OUT", ">IN",      ">BYTES OUT",
               ">IN",     ">RESENT", ">LOST",      ">DUPLICATE",   ">CORRUPT", ">IN FLIGHT",
               ">WINDOW", ">FRAME",  ">LANES OUT", ">IN",          "RDMA",     ">BYTES OUT",
               ">IN",     ">COPIED"});
  for (const json& link : answer) {
    const bool by_rdma = link.contains("rdma") && str(link["rdma"], "state") != "none";
    table.add({str(link, "peer"),
               count(link, "path"),
               count(link, "worker"),
               str(link, "port"),
               str(link, "state"),
               str(link, "local"),
               str(link, "remote"),
               ns(link, "rtt_ns"),
               ns(link, "up_ns"),
               count(link, "packets_sent"),
               count(link, "packets_received"),
               bytes(link, "bytes_sent"),
               bytes(link, "bytes_received"),
               count(link, "retransmitted"),
               count(link, "lost"),
               count(link, "duplicates"),
               count(link, "corrupt"),
               count(link, "in_flight"),
               count(link, "window"),
               count(link, "frame"),
               count(link, "lanes_out"),
               count(link, "lanes_in"),
               by_rdma ? str(link["rdma"], "state") : "",
               by_rdma ? bytes(link["rdma"], "bytes_sent") : "",
               by_rdma ? bytes(link["rdma"], "bytes_received") : "",
               bytes(link, "copied_bytes")});
  }
  return table.empty() ? "no links\n" : table.text() + rails(answer);
}

// Why a port is down, where its driver knows.
std::string waits_for(const json& port) {
  constexpr std::string_view kDown = "down: ";
  const std::string status = str(port, "status");
  if (status == "up" || status == "down") return "";
  return status.starts_with(kDown) ? status.substr(kDown.size()) : status;
}

std::string ports(const json& answer) {
  Table table({"PORT",    "DEVICE",      "LINK",       "MAC",        "ADDRESS", ">MTU",
               ">WORKER", ">QUEUE",      "TRANSMIT",   ">FRAMES IN", ">OUT",    ">BYTES IN",
               ">OUT",    ">FULL",       ">COPIED IN", ">OUT",       ">MISSED", ">ERRORS IN",
               ">OUT",    ">NO BUFFERS", "STATUS"});
  for (const json& port : answer) {
    table.add({str(port, "name"),
               str(port, "device"),
               port.value("link_up", false) ? "up" : "down",
               str(port, "mac"),
               str(port, "address"),
               count(port, "mtu"),
               count(port, "worker"),
               count(port, "queue"),
               port.value("zero_copy", false) ? "zero copy" : "copies",
               count(port, "rx_frames"),
               count(port, "tx_frames"),
               bytes(port, "rx_bytes"),
               bytes(port, "tx_bytes"),
               count(port, "tx_full"),
               count(port, "rx_linearized"),
               count(port, "tx_linearized"),
               count(port, "rx_missed"),
               count(port, "rx_errors"),
               count(port, "tx_errors"),
               count(port, "no_buffers"),
               waits_for(port)});
  }
  return table.empty() ? "no ports\n" : table.text();
}

std::string clients(const json& answer) {
  Table table(
      {">CLIENT", "NAME", ">PID", ">UID", "TENANT", "RULE", ">WRITES", ">READS", "SUBSCRIPTIONS"});
  for (const json& client : answer) {
    std::vector<std::string> filters;
    for (const json& subscription : list(client, "subscriptions")) {
      const std::string mode = str(subscription, "mode");
      filters.push_back(str(subscription, "filter") +
                        (mode == "broadcast" || mode.empty() ? "" : " (" + mode + ")"));
    }
    table.add({count(client, "id"), str(client, "name"), count(client, "pid"), count(client, "uid"),
               str(client, "tenant"), str(client, "rule"), count(client, "lanes_written"),
               count(client, "lanes_read"), fmt::format("{}", fmt::join(filters, ", "))});
  }
  return table.empty() ? "no clients\n" : table.text();
}

std::string drops(const json& answer) {
  Table table({"REASON", ">DROPPED"});
  for (const auto& [reason, n] : answer.items()) {
    table.add({reason, fmt::format("{}", n.get<uint64_t>())});
  }
  return table.empty() ? "nothing was dropped\n" : table.text();
}

std::string topology(const json& answer) {
  std::string out;
  for (size_t i = 0; const json& worker : list(answer, "workers")) {
    out += fmt::format("worker {}: CPU {}, NUMA node {}\n", i++, num(worker, "cpu"),
                       num(worker, "numa_node"));
  }
  out += fmt::format("everything else: CPUs {}\n",
                     fmt::join(list(answer, "housekeeping").get<std::vector<unsigned>>(), ", "));
  for (const json& reason : list(answer, "reasons")) {
    out += fmt::format("  {}\n", reason.get<std::string>());
  }
  return out;
}

std::string node(const json& answer) {
  std::string out = fmt::format("node {} (id {}), epoch {}, version {}, pid {}, up {}, {} pages\n",
                                str(answer, "name"), num(answer, "id"), num(answer, "epoch"),
                                str(answer, "version"), num(answer, "pid"), ns(answer, "uptime_ns"),
                                answer.value("hugepages", false) ? "huge" : "normal");
  Table table({">WORKER", "IDLE", ">TURNS", ">WORK", ">SLEEPS"});
  for (const json& worker : list(answer, "workers")) {
    table.add({count(worker, "id"), str(worker, "idle"), count(worker, "turns"),
               count(worker, "work"), count(worker, "sleeps")});
  }
  return out + table.text();
}

}  // namespace

Account account_of(const json& reader) {
  Account account{.sent = num(reader, "sent"),
                  .delivered = num(reader, "delivered"),
                  .in_flight = num(reader, "in_flight")};
  for (const json& n : reader.value("dropped", json::object())) {
    account.dropped += n.get<uint64_t>();
  }
  return account;
}

std::string show(std::string_view what, const json& answer) try {
  if (what == "lanes") return lanes(answer);
  if (what == "links") return links(answer);
  if (what == "ports") return ports(answer);
  if (what == "clients") return clients(answer);
  if (what == "drops") return drops(answer);
  if (what == "topology") return topology(answer);
  return node(answer);
} catch (const json::exception& error) {
  throw Failure(Exit::kFailed, fmt::format("the node's answer to \"show {}\" makes no sense: {}",
                                           what, error.what()));
}

}  // namespace penstock::cli
