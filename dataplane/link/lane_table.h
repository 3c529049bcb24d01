// LaneTable: the lanes of a link by alias. Open addressing in fixed memory; a removed lane's alias
// and epoch stay known until the alias is used again or the room is needed.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/errc.h"

namespace penstock {

template <class Lane>
class LaneTable {
 public:
  struct Entry {
    uint32_t alias = 0;
    uint32_t epoch = 0;
    Lane* lane = nullptr;  // null: it was removed
    bool used = false;
  };

  // Room for `lanes`.
  explicit LaneTable(uint32_t lanes)
      : entries_(std::bit_ceil(2 * size_t{lanes})), old_(entries_.size()), room_(lanes) {}

  // The entry of an alias, or null when it was never added.
  Entry* find(uint32_t alias) {
    for (size_t i = place(alias);; i = next(i)) {
      Entry& e = entries_[i];
      if (!e.used) return nullptr;
      if (e.alias == alias) return &e;
    }
  }

  // kBusy: the alias has a lane, or had one of the same or a later epoch. kFull: no room.
  Errc add(Lane* lane) {
    if (Entry* e = find(lane->alias())) {
      if (e->lane != nullptr || lane->epoch() <= e->epoch) return Errc::kBusy;
      e->epoch = lane->epoch();
      e->lane = lane;
      lanes_++;
      return Errc::kOk;
    }
    if (lanes_ == room_) return Errc::kFull;
    if (used_ == room_) forget_removed();
    insert(lane);
    lanes_++;
    return Errc::kOk;
  }

  // The lane that was removed, or null.
  Lane* remove(uint32_t alias) {
    Entry* e = find(alias);
    if (e == nullptr || e->lane == nullptr) return nullptr;
    lanes_--;
    return std::exchange(e->lane, nullptr);
  }

  void clear() {
    entries_.assign(entries_.size(), Entry{});
    used_ = 0;
    lanes_ = 0;
  }

  uint32_t size() const { return lanes_; }

  template <class F>
  void for_each(F&& f) {
    for (Entry& e : entries_)
      if (e.lane != nullptr) f(*e.lane);
  }

 private:
  size_t place(uint32_t alias) const { return alias * 0x9e3779b1u & (entries_.size() - 1); }
  size_t next(size_t i) const { return (i + 1) & (entries_.size() - 1); }

  void insert(Lane* lane) {
    size_t i = place(lane->alias());
    while (entries_[i].used)
      i = next(i);
    entries_[i] = {lane->alias(), lane->epoch(), lane, true};
    used_++;
  }

  void forget_removed() {
    old_.swap(entries_);
    entries_.assign(old_.size(), Entry{});
    used_ = 0;
    for (const Entry& e : old_)
      if (e.lane != nullptr) insert(e.lane);
  }

  std::vector<Entry> entries_;
  std::vector<Entry> old_;  // room to rebuild in
  uint32_t room_;
  uint32_t used_ = 0;   // entries, of which
  uint32_t lanes_ = 0;  // have a lane
};

}  // namespace penstock
