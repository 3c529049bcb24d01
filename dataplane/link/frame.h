// What a link fills for its caller, and what it remembers of it until it is acknowledged.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock {

class OutLane;

// A frame to send. The caller gives `data` (where the hop header goes) and `room`, at least
// LinkConfig.max_frame; the link fills in the rest. `payload` is empty or stays readable, and
// belongs to `region` (Feed::region), until the frame was sent.
struct TxFrame {
  std::byte* data = nullptr;
  uint32_t room = 0;
  uint32_t len = 0;
  const std::byte* payload = nullptr;
  uint32_t payload_len = 0;
  void* region = nullptr;
  // The crc_part() of the frame's last bytes, so many, where it was needed before; 0: it was not.
  uint32_t part = 0;
  uint32_t part_len = 0;
  // By which of the path's source ports: 0 is the one that it was given.
  uint16_t source_port = 0;
};

// What is more than a lane's own messages.
enum class Carry : uint8_t {
  kOwn,
  kAnnounce,  // the first block of a message whose others a relay brings
  kPass,      // that the peer shall be such a relay; `offset`: for whom (ChainSeat)
  kRelayed,   // a piece of somebody else's message: of no lane, `position` names its Passing
};

// What a packet carries that must arrive: messages [position, position + count) of a lane, or one
// piece of the message at `position`.
struct Sent {
  OutLane* lane = nullptr;  // null: its lane was removed, nothing has to arrive any more
  uint64_t position = 0;
  uint64_t offset = 0;  // of the piece
  uint32_t count = 0;   // messages, or bytes of the piece
  bool piece = false;
  Carry carry = Carry::kOwn;
};

}  // namespace penstock
