// What a rail carries, as measured, and how a message is cut for several. See rails.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

inline constexpr size_t kMostRails = 4;  // beside one path

// Bytes a second, while something is under way. What moves too little says more of the way's delay
// than of its width, and is left out.
class RailRate {
 public:
  explicit RailRate(uint64_t guess) : bytes_per_s_(static_cast<double>(guess)) {}

  void begun(uint64_t bytes, uint64_t now) {
    if (under_way_ == 0) {
      measure(kLeast);
      since_ = now;
      moved_ = 0;
    }
    under_way_ += bytes;
  }
  // What comes at once was on its way together: it is measured when something comes later.
  void arrived(uint64_t bytes, uint64_t now) {
    if (now != last_) measure(kSample);
    last_ = now;
    moved_ += bytes;
    under_way_ -= bytes;
  }

  // What is under way is given up.
  void forget() { under_way_ = 0; }

  uint64_t under_way() const { return under_way_; }
  double bytes_per_s() const { return bytes_per_s_; }

 private:
  static constexpr uint64_t kSample = 1 << 20;
  static constexpr uint64_t kLeast = 1 << 18;

  void measure(uint64_t least) {
    if (moved_ < least || last_ <= since_) return;
    const double rate = static_cast<double>(moved_) * 1e9 / static_cast<double>(last_ - since_);
    bytes_per_s_ += (std::max(rate, 1e6) - bytes_per_s_) / 4;
    since_ = last_;
    moved_ = 0;
  }

  double bytes_per_s_;
  uint64_t under_way_ = 0;
  uint64_t moved_ = 0;  // since then
  uint64_t since_ = 0;
  uint64_t last_ = 0;  // that something came
};

// What is before a message on a rail. Rate 0: it takes none.
struct RailLoad {
  double bytes_per_s = 0;
  uint64_t under_way = 0;
};
using RailShares = std::array<uint64_t, kMostRails>;

// All of it to the rail by which it is there first.
inline RailShares by_one_rail(std::span<const RailLoad, kMostRails> rails, uint64_t len) {
  const auto ready = [&](const RailLoad& r) {
    return static_cast<double>(r.under_way + len) / r.bytes_per_s;
  };
  size_t best = kMostRails;
  for (size_t i = 0; i < kMostRails; i++)
    if (rails[i].bytes_per_s > 0 && (best == kMostRails || ready(rails[i]) < ready(rails[best])))
      best = i;
  RailShares shares{};
  if (best != kMostRails) shares[best] = len;
  return shares;
}

// As many bytes to each that all of them are done together, counting what is before it. A rail that
// would get less than a grain gets nothing; all shares but one are whole grains.
inline RailShares by_all_rails(std::span<const RailLoad, kMostRails> rails, uint64_t len,
                               uint64_t grain) {
  std::array<double, kMostRails> room{};  // what it can move until all are done
  std::array<bool, kMostRails> in{};
  for (size_t i = 0; i < kMostRails; i++)
    in[i] = rails[i].bytes_per_s > 0;
  for (;;) {
    auto bytes = static_cast<double>(len);
    double rate = 0;
    for (size_t i = 0; i < kMostRails; i++) {
      bytes += in[i] ? static_cast<double>(rails[i].under_way) : 0;
      rate += in[i] ? rails[i].bytes_per_s : 0;
    }
    size_t least = kMostRails;
    for (size_t i = 0; i < kMostRails; i++) {
      if (!in[i]) continue;
      room[i] = bytes / rate * rails[i].bytes_per_s - static_cast<double>(rails[i].under_way);
      if (least == kMostRails || room[i] < room[least]) least = i;
    }
    if (std::ranges::count(in, true) <= 1) return by_one_rail(rails, len);
    if (room[least] >= static_cast<double>(grain)) break;
    in[least] = false;
  }
  RailShares shares{};
  uint64_t left = len;
  size_t last = 0;
  for (size_t i = 0; i < kMostRails; i++) {
    if (!in[i]) continue;
    const auto grains = static_cast<uint64_t>(room[i] / static_cast<double>(grain) + 0.5);
    shares[i] = std::min(left / grain, grains) * grain;
    left -= shares[i];
    last = i;
  }
  shares[last] += left;
  return shares;
}

}  // namespace penstock
