#include "control/config/diff.h"

#include <fmt/format.h>
#include <map>

#include "control/config/options.h"
#include "control/config/value.h"

namespace penstock {
namespace {

// Every value that there is, by its key, the keys in the order of the table.
class Flat {
 public:
  explicit Flat(Config& config) {
    for (const Section& section : sections()) {
      if (!section.many) add(section, std::string(section.name), {&config});
      if (section.name == "port")
        for (PortOptions& port : config.ports)
          add(section, fmt::format("port {}", port.name), {&config, &port});
      if (section.name == "peer")
        for (PeerOptions& peer : config.peers)
          add(section, fmt::format("peer {}", peer.id), {&config, nullptr, &peer});
      if (section.name == "rule")
        for (Rule& rule : config.rules)
          add(section, fmt::format("rule {}", rule.name), {&config, nullptr, nullptr, &rule});
    }
  }

  struct Row {
    std::string key;
    std::string value;
    bool live;
  };
  std::vector<Row> rows;

  std::string find(const std::string& key) const {
    const auto at = by_key_.find(key);
    return at == by_key_.end() ? "" : rows[at->second].value;
  }

 private:
  void add(const Section& section, const std::string& table, Target target) {
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      const std::string value = written(option, option.slot(target));
      if (value.empty()) continue;
      rows.push_back(
          {fmt::format("{}.{}", table, option.name()), value, option.applies == Applies::kLive});
      by_key_[rows.back().key] = rows.size() - 1;
    }
  }

  std::map<std::string, size_t> by_key_;
};

}  // namespace

std::vector<OptionChange> changes(Config before, Config after) {
  const Flat old(before), fresh(after);
  std::vector<OptionChange> all;
  for (const Flat::Row& row : old.rows)
    if (const std::string now = fresh.find(row.key); now != row.value)
      all.push_back({row.key, row.value, now, row.live});
  for (const Flat::Row& row : fresh.rows)
    if (old.find(row.key).empty()) all.push_back({row.key, "", row.value, row.live});
  return all;
}

}  // namespace penstock
