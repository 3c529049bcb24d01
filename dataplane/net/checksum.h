// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
// words. A frame lies in pieces, so the sum is built piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

// A number with the same one's complement sum, below 2^16.
constexpr uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The sum of the 16-bit words of `bytes`, folded. A last odd byte counts as followed by a 0.
uint16_t ones_sum(std::span<const std::byte> bytes);

class InternetSum {
 public:
  // Words that are known as numbers; only where the bytes so far are even in number.
  InternetSum& add(uint64_t words) {
    sum_ += fold(words);
    return *this;
  }

  // The next bytes. A piece of odd length shifts what follows by a byte, which swaps its sum.
  InternetSum& add(std::span<const std::byte> bytes) {
    const uint16_t piece = ones_sum(bytes);
    sum_ += odd_ ? __builtin_bswap16(piece) : piece;
    odd_ ^= bytes.size() % 2 != 0;
    return *this;
  }

  // What a header has to hold so that a receiver's sum over everything is 0xffff.
  uint16_t checksum() const { return static_cast<uint16_t>(~fold(sum_)); }

  // Whether everything, the checksum field included, sums up as it must.
  bool good() const { return fold(sum_) == 0xffff; }

 private:
  uint64_t sum_ = 0;
  bool odd_ = false;
};

}  // namespace penstock
