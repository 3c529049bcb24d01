// The frames of the emulated fabric (README.md of this folder): pure functions. What parse() lets
// through has every field within its bounds; what it means to the receiver is not its business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "rdma/fabric.h"

namespace penstock {

enum class EmulatedType : uint8_t { kPut = 1, kGet, kPiece, kFlush, kAck, kRefused };

inline constexpr uint64_t kEmulatedWindow = 64;  // packets on their way at once

struct EmulatedFrame {
  EmulatedType type = EmulatedType::kAck;
  uint32_t to = 0;      // the receiver's endpoint
  uint32_t nonce = 0;   // and what only its peer was told
  uint64_t packet = 0;  // from 1; 0: not counted (ACK, REFUSED)
  uint64_t ack = 0;     // all before it have come
  uint64_t sack = 0;    // bit i: ack + 1 + i has come

  uint64_t address = 0;  // PUT, GET, FLUSH: in the region
  uint32_t key = 0;
  uint32_t bytes = 0;          // PUT, GET, PIECE: of the whole
  uint32_t at = 0;             // PUT, PIECE: where in it the payload belongs
  uint32_t request = 0;        // GET, PIECE
  bool has_immediate = false;  // PUT, with its end
  uint32_t immediate = 0;
  uint64_t refused = 0;  // REFUSED: the first packet that was not done
  FabricCode code = FabricCode::kOk;
  std::span<const std::byte> payload = {};  // PUT, PIECE
};

// Bytes in front of the payload: at most kEmulatedHeader.
inline constexpr size_t kEmulatedHeader = 64;
size_t emulated_header(EmulatedType type);

// Writes all but the payload, which stands behind the header already, and seals the frame. Returns
// its length.
size_t write_emulated(const EmulatedFrame& frame, std::byte* out);

// Null: no frame of ours, or one that was damaged.
std::optional<EmulatedFrame> parse_emulated(std::span<const std::byte> bytes);

}  // namespace penstock
