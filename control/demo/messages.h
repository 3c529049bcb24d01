// Messages of the job: what stands in front of the floats, and how both sides check it.
//
//   trainer ──push──▶ grad.join                      here I am: send me the weights
//   server  ──publish─▶ weights.hidden, weights.output   the weights of a step
//   trainer ──push──▶ grad.hidden, grad.output       what my shard says about them
//   trainer ──push──▶ grad.done                      I hold the last weights
//
//     0       4      8      10      12     14     16      20     24                   32
//     | magic | step | rank | layer | kind | last | loss | zero | weights latency ns | floats ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "control/demo/model.h"

namespace penstock::demo {

enum class Kind : uint16_t { kWeights = 1, kJoin = 2, kGradient = 3, kDone = 4 };

struct MessageHeader {
  static constexpr uint32_t kMagic = 0x31445350;  // "PSD1"
  uint32_t magic = kMagic;
  uint32_t step = 0;
  uint16_t rank = 0;
  uint16_t layer = 0;
  Kind kind = Kind::kJoin;
  uint16_t last = 0;  // weights: 1 when no further step follows
  float loss = 0;     // gradient: of the shard, summed
  uint32_t zero = 0;
  uint64_t weights_latency_ns = 0;  // gradient: how long the weights took to reach the trainer
};
static_assert(sizeof(MessageHeader) == 32);

// Bytes of a message of this kind.
size_t message_size(const MessageHeader& header);

// Writes a whole message into `out`, which has message_size() bytes; `floats` is empty for a kind
// that carries none.
void write_message(const MessageHeader& header, std::span<const float> floats,
                   std::span<std::byte> out);

// Nothing unless the bytes are a message of this job, of the right size for its kind and layer.
std::optional<MessageHeader> read_header(std::span<const std::byte> message);

// The floats behind a header that read_header gave, copied to `out`.
void read_floats(std::span<const std::byte> message, std::span<float> out);

}  // namespace penstock::demo
