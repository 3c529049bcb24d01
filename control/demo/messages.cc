#include "control/demo/messages.h"

#include <cassert>
#include <cstring>

namespace penstock::demo {
namespace {

bool carries_floats(Kind kind) {
  return kind == Kind::kWeights || kind == Kind::kGradient;
}

}  // namespace

size_t message_size(const MessageHeader& header) {
  return sizeof header +
         (carries_floats(header.kind) ? kLayerSizes.at(header.layer) * sizeof(float) : 0);
}

void write_message(const MessageHeader& header, std::span<const float> floats,
                   std::span<std::byte> out) {
  assert(out.size() == sizeof header + floats.size_bytes());
  std::memcpy(out.data(), &header, sizeof header);
  if (!floats.empty()) std::memcpy(out.data() + sizeof header, floats.data(), floats.size_bytes());
}

std::optional<MessageHeader> read_header(std::span<const std::byte> message) {
  MessageHeader header;
  if (message.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof header);
  const bool known = header.kind >= Kind::kWeights && header.kind <= Kind::kDone;
  if (header.magic != MessageHeader::kMagic || !known || header.layer >= kLayers)
    return std::nullopt;
  if (message.size() != message_size(header)) return std::nullopt;
  return header;
}

void read_floats(std::span<const std::byte> message, std::span<float> out) {
  assert(message.size() == sizeof(MessageHeader) + out.size_bytes());
  std::memcpy(out.data(), message.data() + sizeof(MessageHeader), out.size_bytes());
}

}  // namespace penstock::demo
