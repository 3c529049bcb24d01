#include "control/membership/registry.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/store/snapshot.h"

namespace penstock {
namespace {

using store::Fault;

constexpr uint64_t kSaveEveryMs = 1000;

constexpr std::string_view kRemoved = "removed/";

std::string epoch_key(uint64_t id) {
  return fmt::format("epochs/{}", id);
}

std::string removed_key(uint64_t id) {
  return fmt::format("{}{}", kRemoved, id);
}

struct Life {
  uint64_t epoch = 0;
  std::string instance;
  uint64_t revision = 0;  // of its row; 0: none
};

Life decode_life(const store::Entry& e) {
  const auto row = nlohmann::json::parse(e.value, nullptr, false);
  Life life{0, "", e.revision};
  if (row.is_object() && row.contains("epoch") && row["epoch"].is_number_unsigned())
    life.epoch = row["epoch"].get<uint64_t>();
  if (row.is_object() && row.contains("instance") && row["instance"].is_string())
    life.instance = row["instance"].get<std::string>();
  return life;
}

store::Result<Life> life_in_store(store::Store& store, const std::string& key) {
  const auto all = store.range(key);
  if (!all) return tl::unexpected(all.error());
  for (const store::Entry& e : all->entries)
    if (e.key == key) return decode_life(e);  // not epochs/21
  return Life{};
}

// Of "removed/2", and 0 of what is no such key.
uint64_t id_in(std::string_view key, std::string_view prefix) {
  uint64_t id = 0;
  if (!key.starts_with(prefix)) return 0;
  const std::string_view text = key.substr(prefix.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() ? id : 0;
}

std::string expelled_text(const Member& self) {
  return fmt::format(
      "an operator has removed this node, epoch {}: it goes on for the programs on this host; "
      "restart it, and it is a member again",
      self.epoch);
}

}  // namespace

store::Result<uint64_t> epoch_in_store(store::Store& store, uint64_t id) {
  const auto life = life_in_store(store, epoch_key(id));
  if (!life) return tl::unexpected(life.error());
  const auto removed = life_in_store(store, removed_key(id));
  if (!removed) return tl::unexpected(removed.error());
  return std::max(life->epoch, removed->epoch);
}

store::Result<uint64_t> remove_member(store::Store& store, uint64_t id) {
  const auto life = life_in_store(store, epoch_key(id));
  if (!life) return tl::unexpected(life.error());
  const auto removed = life_in_store(store, removed_key(id));
  if (!removed) return tl::unexpected(removed.error());
  const auto row = life_in_store(store, member_key(id));
  if (!row) return tl::unexpected(row.error());
  const uint64_t epoch = std::max(life->epoch, row->epoch);
  if (life->revision == 0 && row->revision == 0)
    return store::error(Fault::kInvalid, fmt::format("the store knows no node {}", id));
  store::Txn txn;
  txn.conditions = {{epoch_key(id), life->revision},
                    {removed_key(id), removed->revision},
                    {member_key(id), row->revision}};
  txn.writes = {{removed_key(id), nlohmann::json{{"epoch", epoch}}.dump()},
                {member_key(id), "", 0, true}};
  const auto done = store.txn(txn);
  if (!done) return tl::unexpected(done.error());
  if (!done->applied)
    return store::error(
        Fault::kInvalid,
        fmt::format("node {} has just changed: look whether it is still to be removed", id));
  return epoch;
}

Registry::Registry(store::Store& store, Options options)
    : store_(store),
      options_(std::move(options)),
      follower_(store, "", options_.seed, options_.timing) {}

std::vector<MemberEvent> Registry::begin(std::string& trouble) {
  std::vector<MemberEvent> events;
  if (options_.snapshot.empty()) return events;
  const auto last = store::load_snapshot(options_.snapshot);
  if (!last) {
    trouble = last.error();
    return events;
  }
  for (const store::Entry& e : last->entries)
    if (const uint64_t id = id_in(e.key, kRemoved); id != 0) {
      removed_[id] = decode_life(e).epoch;
      Member gone;  // who is in the config is called from the start
      gone.id = id;
      gone.epoch = removed_[id];
      if (id != options_.self.id) events.push_back({MemberEvent::kRemoved, gone});
    }
  for (const store::Entry& e : last->entries) {
    const auto member = decode_member(e.key, e.value);
    if (!member || member->id == options_.self.id || is_removed(*member)) continue;
    known_[member->id] = {*member, 0};
    events.push_back({MemberEvent::kThere, *member});
  }
  return events;
}

bool Registry::is_removed(const Member& member) const {
  const auto at = removed_.find(member.id);
  return at != removed_.end() && member.epoch <= at->second;
}

// The row and the epoch at once. False: not now; own_trouble_ or write_trouble_ says why.
bool Registry::write_row() {
  const Member& self = options_.self;
  const auto fail = [this](std::string why) {
    own_trouble_ = std::move(why);
    return false;
  };
  const auto away = [this](const store::Error& why) {
    write_trouble_ = why.text;
    return false;
  };
  write_trouble_.clear();
  const auto life = life_in_store(store_, epoch_key(self.id));
  if (!life) return away(life.error());
  const auto removed = life_in_store(store_, removed_key(self.id));
  if (!removed) return away(removed.error());
  if (removed->epoch >= self.epoch) return fail(expelled_text(self));
  if (life->epoch > self.epoch || (life->epoch == self.epoch && life->instance != self.instance)) {
    fenced_ = true;
    return fail(fmt::format(
        "the store knows another start of node {}, epoch {}: one of the two must be stopped, "
        "or get another node.id; this one, epoch {}, is not registered",
        self.id, life->epoch, self.epoch));
  }
  store::Txn txn;
  txn.conditions = {{epoch_key(self.id), life->revision},
                    {removed_key(self.id), removed->revision}};
  const nlohmann::json epoch = {{"epoch", self.epoch}, {"instance", self.instance}};
  if (life->epoch != self.epoch) txn.writes.push_back({epoch_key(self.id), epoch.dump()});
  Member row = self;
  row.draining = draining_;
  txn.writes.push_back({member_key(self.id), encode(row), lease_.id});
  const auto done = store_.txn(txn);
  if (!done) {
    if (done.error().fault == Fault::kNoLease) lease_ = {};
    return away(done.error());
  }
  return done->applied || fail("somebody else registers with this node's id at the same time");
}

void Registry::stay_registered(uint64_t now) {
  if (options_.read_only || fenced_ || expelled_ || now < next_try_) return;
  const auto third = static_cast<uint64_t>(std::max(lease_.ttl, options_.lease).count()) / 3;
  if (lease_.id != 0) {
    const auto kept = store_.keep_alive(lease_.id);
    if (!kept) {
      write_trouble_ = kept.error().text;
      if (kept.error().fault != Fault::kNoLease) {
        next_try_ = now + third / 4;
        return;
      }
      lease_ = {};
    }
  }
  if (lease_.id == 0) {
    written_ = false;
    const auto lease = store_.grant(options_.lease);
    if (!lease) {
      write_trouble_ = lease.error().text;
      next_try_ = now + third / 4;
      return;
    }
    lease_ = *lease;
  }
  if (!written_) {
    written_ = write_row();
    registered_at_ = now;
  }
  if (written_) {
    own_trouble_.clear();
    write_trouble_.clear();
  }
  next_try_ = now + (written_ ? third : third / 4);
}

// A lease may be ended under its holder, who is told that all is well (etcd 3.4). The row says.
void Registry::check_own_row(uint64_t now) {
  if (!written_ || !follower_.complete() || !follower_.trouble().empty()) return;
  const auto row = follower_.view().entries().find(member_key(options_.self.id));
  if (row != follower_.view().entries().end()) {
    const auto member = decode_member(row->first, row->second.value);
    if (member && member->instance == options_.self.instance) return;
  }
  // What was just written may not be seen yet.
  if (now - registered_at_ < static_cast<uint64_t>(options_.lease.count()) / 3) return;
  written_ = false;
  next_try_ = now;
}

// What an operator has said stays said, also when the store is wiped.
void Registry::take_removals(std::vector<MemberEvent>& events) {
  const Member& self = options_.self;
  for (const auto& [key, entry] : follower_.view().entries()) {
    const uint64_t id = id_in(key, kRemoved);
    const uint64_t epoch = decode_life(entry).epoch;
    if (id == 0 || epoch == 0 || (removed_.contains(id) && removed_[id] >= epoch)) continue;
    removed_[id] = epoch;
    unsaved_ = true;
    if (id == self.id) {
      if (!is_removed(self)) continue;
      expelled_ = true;
      leave();
      own_trouble_ = expelled_text(self);
      events.push_back({MemberEvent::kRemoved, self});
      continue;
    }
    Member member;
    if (const auto known = known_.find(id); known != known_.end()) {
      member = known->second.member;
      if (!is_removed(member)) continue;
      known_.erase(known);
    }
    member.id = id;
    member.epoch = epoch;
    events.push_back({MemberEvent::kRemoved, member});
  }
}

void Registry::compare(uint64_t now, std::vector<MemberEvent>& events) {
  const auto grace = 2 * static_cast<uint64_t>(std::max(lease_.ttl, options_.lease).count());
  const bool heard = follower_.complete() && follower_.trouble().empty();
  const bool stalled = now - last_poll_ > grace / 4;
  row_trouble_.clear();
  for (auto& [id, known] : known_)
    if (known.missed_since != 0 && (!heard || stalled)) known.missed_since = now;
  std::map<uint64_t, bool> there;
  for (const auto& [key, entry] : follower_.view().entries()) {
    if (!key.starts_with(kMembers)) continue;
    const auto member = decode_member(key, entry.value);
    if (!member) {
      row_trouble_ = member.error();
      // A row that nobody can read is no reason to leave somebody.
      if (const uint64_t id = id_in(key, kMembers); id != 0) there[id] = true;
      continue;
    }
    if (member->id == options_.self.id || is_removed(*member)) continue;
    there[member->id] = true;
    Known& known = known_[member->id];
    known.missed_since = 0;
    // An earlier life of it, in a store that was rewound.
    if ((member->epoch != 0 && member->epoch < known.member.epoch) || known.member == *member)
      continue;
    known.member = *member;
    events.push_back({MemberEvent::kThere, *member});
  }
  for (auto at = known_.begin(); at != known_.end();) {
    Known& known = at->second;
    if (there.contains(at->first))
      known.missed_since = 0;
    else if (heard &&
             (known.missed_since == 0 || (!options_.read_only && heard_.contains(at->first))))
      known.missed_since = now;
    if (heard && known.missed_since != 0 && now - known.missed_since >= grace) {
      events.push_back({MemberEvent::kGone, known.member});
      at = known_.erase(at);
    } else {
      ++at;
    }
  }
}

void Registry::save(uint64_t now) {
  if (!unsaved_ || options_.snapshot.empty() || now < next_save_) return;
  next_save_ = now + kSaveEveryMs;
  store::Contents contents{follower_.view().revision(), {}};
  for (const auto& [id, known] : known_)
    contents.entries.push_back({member_key(id), encode(known.member), 0, 0});
  for (const auto& [id, epoch] : removed_)
    contents.entries.push_back({removed_key(id), nlohmann::json{{"epoch", epoch}}.dump(), 0, 0});
  const auto saved = store::save_snapshot(options_.snapshot, contents);
  save_trouble_ = saved ? "" : saved.error();
  unsaved_ = !saved;
}

std::vector<MemberEvent> Registry::poll(uint64_t now, std::chrono::milliseconds wait) {
  now = std::max<uint64_t>(now, 1);
  if (last_poll_ == 0) last_poll_ = now;
  stay_registered(now);
  const auto news = follower_.poll(now, wait);
  (void)news;
  std::vector<MemberEvent> events;
  take_removals(events);
  if (!expelled_) compare(now, events);
  check_own_row(now);
  unsaved_ |= !events.empty();
  save(now);
  last_poll_ = now;
  return events;
}

void Registry::drain() {
  draining_ = true;
  written_ = false;
  next_try_ = 0;
}

void Registry::leave() {
  if (lease_.id != 0) (void)store_.revoke(lease_.id);
  lease_ = {};
  written_ = false;
}

std::string Registry::store_trouble() const {
  return follower_.trouble().empty() ? write_trouble_ : follower_.trouble();
}

std::string Registry::trouble() const {
  for (const std::string* text : {&own_trouble_, &row_trouble_, &save_trouble_})
    if (!text->empty()) return *text;
  return "";
}

}  // namespace penstock
