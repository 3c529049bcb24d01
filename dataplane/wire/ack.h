// ACK: which packets came, and how much each lane may go on. Layout: FORMAT.md.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | largest                                       |
//    +-----------------------+-----------------------+
//    | delay                 | credits               |
//    +-----------------------+-----------------------+
//    | bitmap, 256 bits                              |
//    | . . .                                         |
//    +-----------------------+-----------------------+
//    | waited                | allowed               |
//    +-----------------------+-----------------------+
//    | marked                | 0                     |
//    +-----------------------+-----------------------+   64   first credit
//    | alias                 | epoch                 |
//    +-----------------------+-----------------------+
//    | position                                      |
//    +-----------------------------------------------+
//    | arena_position                                |
//    +-----------------------------------------------+        next credit
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace penstock {

inline constexpr size_t kAckHeaderSize = 64;
inline constexpr size_t kCreditSize = 24;
inline constexpr unsigned kAckBits = 256;  // packets below the largest that one ACK speaks of

inline constexpr uint32_t kAnyNumber = ~uint32_t{0};

struct Ack {
  uint64_t largest = 0;              // largest packet number received, 0 = none yet
  uint32_t delay = 0;                // since it came, 16 ns ticks
  std::array<uint64_t, 4> bitmap{};  // bit i of the 256: packet largest - 1 - i came
  uint32_t waited = 0;               // at most so long before it was looked at, 16 ns ticks
  uint32_t allowed = kAnyNumber;     // packets behind the largest that may be sent
  uint32_t marked = 0;               // packets of this session that the network had marked; wraps

  bool operator==(const Ack&) const = default;

  // Whether it says that `packet` came.
  bool has(uint64_t packet) const {
    if (packet >= largest) return packet == largest && packet != 0;
    const uint64_t bit = largest - 1 - packet;
    return bit < kAckBits && (bitmap[bit / 64] >> (bit % 64) & 1) != 0;
  }
};

// How far a mirror's readers are: absolute, so a lost credit is healed by the next one.
struct Credit {
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint64_t position = 0;        // messages consumed
  uint64_t arena_position = 0;  // arena bytes consumed

  bool operator==(const Credit&) const = default;
};

// The credits of a received ACK, read in place.
class CreditView {
 public:
  explicit CreditView(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size() / kCreditSize; }
  Credit operator[](size_t i) const;

 private:
  std::span<const std::byte> bytes_;
};

struct AckFrame {
  Ack ack;
  CreditView credits;
};

// How many credits an ACK body of `room` bytes can carry; 0 also when not even the ACK fits.
constexpr size_t credits_that_fit(size_t room) {
  return room < kAckHeaderSize ? 0 : (room - kAckHeaderSize) / kCreditSize;
}

// Writes the ACK and as many of `credits`, from the front, as fit. Returns the size of the body; 0
// when not even the ACK fits.
size_t write_ack(const Ack& a, std::span<const Credit> credits, std::span<std::byte> out);

// The ACK in a frame's body, or nothing: a wrong size, or bits for packets below 1.
std::optional<AckFrame> parse_ack(std::span<const std::byte> body);

}  // namespace penstock
