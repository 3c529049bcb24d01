// What the node hands out of its fixed tables: slots of a position table, bells of a bell page.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>

#include "dataplane/lane/layout.h"

namespace penstock {

template <size_t N>
class Slots {
 public:
  std::optional<uint32_t> take() {
    for (size_t k = 0; k < N; k++) {
      const size_t i = (next_ + k) % N;  // the one freed longest ago, more or less
      if (used_[i]) continue;
      used_[i] = true;
      next_ = i + 1;
      return static_cast<uint32_t>(i);
    }
    return std::nullopt;
  }
  void give_back(uint32_t slot) { used_[slot] = false; }
  size_t taken() const { return used_.count(); }

 private:
  std::bitset<N> used_;
  size_t next_ = 0;
};

using PositionSlots = Slots<kPositionSlots>;
inline constexpr size_t kBellSlots = 512;
using BellSlots = Slots<kBellSlots>;

}  // namespace penstock
