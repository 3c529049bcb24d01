#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "control/cli/human.h"
#include "control/cli/json_fields.h"
#include "control/cli/show.h"
#include "control/cli/table.h"
#include "control/cli/top.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

// The element of `list` whose `keys` have the values that they have in `like`; else an empty one.
json same(const json& list, const json& like, std::initializer_list<const char*> keys) {
  const auto found = std::ranges::find_if(list, [&](const json& element) {
    return std::ranges::all_of(keys, [&](const char* key) {
      return element.value(key, json()) == like.value(key, json());
    });
  });
  return found == list.end() ? json::object() : *found;
}

class View {
 public:
  View(const Snapshot& before, const Snapshot& now)
      : before_(before), now_(now), seconds_(static_cast<double>(now.at_ns - before.at_ns) / 1e9) {}

  std::string text() const { return node() + links() + ports() + lanes() + drops(); }

 private:
  // Growth a second. Something that began anew since the last look counts from 0.
  double rate(const json& was, const json& is, const char* key) const {
    const uint64_t a = num(was, key), b = num(is, key);
    return seconds_ <= 0 ? 0 : static_cast<double>(b >= a ? b - a : b) / seconds_;
  }

  std::string node() const {
    std::string out =
        fmt::format("node {} (id {}), epoch {}, up {}: {} clients, {} lanes",
                    str(now_.node, "name"), num(now_.node, "id"), num(now_.node, "epoch"),
                    human_ns(static_cast<double>(num(now_.node, "uptime_ns"))),
                    num(now_.node, "clients"), num(now_.node, "lanes"));
    for (const json& worker : list(now_.node, "workers")) {
      const json was = same(list(before_.node, "workers"), worker, {"id"});
      out += fmt::format("\n  worker {}: {} turns/s, {} at work, {} sleeps/s", num(worker, "id"),
                         human_count(rate(was, worker, "turns")),
                         human_count(rate(was, worker, "work")),
                         human_count(rate(was, worker, "sleeps")));
    }
    return out + "\n";
  }

  std::string links() const {
    Table table({"LINK", ">PATH", "STATE", ">RTT", ">PACKETS/S OUT", ">IN", ">BYTES/S OUT", ">IN",
                 ">RESENT/S", ">LOST/S", ">IN FLIGHT"});
    for (const json& link : now_.links) {
      const json was = same(before_.links, link, {"peer", "path"});
      table.add({str(link, "peer"), fmt::format("{}", num(link, "path")), str(link, "state"),
                 human_ns(static_cast<double>(num(link, "rtt_ns"))),
                 human_count(rate(was, link, "packets_sent")),
                 human_count(rate(was, link, "packets_received")),
                 human_bytes(rate(was, link, "bytes_sent")),
                 human_bytes(rate(was, link, "bytes_received")),
                 human_count(rate(was, link, "retransmitted")),
                 human_count(rate(was, link, "lost")), fmt::format("{}", num(link, "in_flight"))});
    }
    return table.empty() ? "" : "\n" + table.text();
  }

  std::string ports() const {
    Table table({"PORT", "LINK", ">FRAMES/S OUT", ">IN", ">BYTES/S OUT", ">IN", ">FULL/S",
                 ">COPIED/S", ">MISSED/S"});
    for (const json& port : now_.ports) {
      const json was = same(before_.ports, port, {"name", "queue"});
      table.add(
          {str(port, "name"), port.value("link_up", false) ? "up" : "down",
           human_count(rate(was, port, "tx_frames")), human_count(rate(was, port, "rx_frames")),
           human_bytes(rate(was, port, "tx_bytes")), human_bytes(rate(was, port, "rx_bytes")),
           human_count(rate(was, port, "tx_full")), human_count(rate(was, port, "tx_linearized")),
           human_count(rate(was, port, "rx_missed"))});
    }
    return table.empty() ? "" : "\n" + table.text();
  }

  // The busiest first.
  std::string lanes() const {
    struct Row {
      double messages, bytes;
      const json* lane;
    };
    std::vector<Row> rows;
    for (const json& lane : now_.lanes) {
      const json was = same(before_.lanes, lane, {"id", "epoch"});
      rows.push_back({rate(was, lane, "sent"), rate(was, lane, "bytes"), &lane});
    }
    std::ranges::stable_sort(rows, std::greater(), &Row::messages);
    Table table({">LANE", "KIND", "OWNER", "NAME", ">MESSAGES/S", ">BYTES/S", ">READERS",
                 ">IN FLIGHT", ">DROPPED", "IDENTITY"});
    for (const Row& row : rows) {
      const json& readers = list(*row.lane, "readers");
      uint64_t in_flight = 0, dropped = 0;
      bool holds = true;
      for (const json& reader : readers) {
        const Account account = account_of(reader);
        in_flight = std::max(in_flight, account.in_flight);
        dropped += account.dropped;
        holds = holds && account.unaccounted() == 0;
      }
      table.add({fmt::format("{}", num(*row.lane, "id")), str(*row.lane, "kind"),
                 str(*row.lane, "owner"), str(*row.lane, "name"), human_count(row.messages),
                 human_bytes(row.bytes), fmt::format("{}", readers.size()),
                 fmt::format("{}", in_flight), fmt::format("{}", dropped),
                 holds ? "holds" : "OFF"});
    }
    return table.empty() ? "\nno lanes\n" : "\n" + table.text();
  }

  std::string drops() const {
    std::string out;
    for (const auto& [reason, n] : now_.drops.items()) {
      if (n.get<uint64_t>() == 0) continue;
      out += fmt::format("{}{} {} (+{}/s)", out.empty() ? "\ndropped: " : ", ", reason,
                         n.get<uint64_t>(),
                         human_count(rate(before_.drops, now_.drops, reason.c_str())));
    }
    return out.empty() ? "\ndropped: nothing\n" : out + "\n";
  }

  const Snapshot& before_;
  const Snapshot& now_;
  double seconds_;
};

}  // namespace

std::string top_view(const Snapshot& before, const Snapshot& now, size_t lines) try {
  const std::string all = View(before, now).text();
  size_t end = 0;
  for (size_t line = 0; line < lines && end < all.size(); line++)
    end = all.find('\n', end) + 1;
  return all.substr(0, end);
} catch (const json::exception& error) {
  throw Failure(Exit::kFailed, fmt::format("the node's answer makes no sense: {}", error.what()));
}

}  // namespace penstock::cli
