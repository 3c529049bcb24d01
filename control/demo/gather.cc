#include "control/demo/gather.h"

#include <algorithm>

namespace penstock::demo {

void Gather::start(uint32_t step) {
  step_ = step;
  missing_ = have_.size();
  std::fill(have_.begin(), have_.end(), false);
}

bool Gather::take(const MessageHeader& header, std::span<const std::byte> message) {
  if (header.step != step_ || header.rank >= layers_.size()) return false;
  const size_t index = header.rank * kLayers + header.layer;
  if (have_[index]) return false;
  read_floats(message, layers_[header.rank][header.layer]);
  have_[index] = true;
  missing_--;
  return true;
}

bool Gather::has(uint32_t rank) const {
  const auto first = have_.begin() + static_cast<ptrdiff_t>(rank * kLayers);
  return std::all_of(first, first + kLayers, [](bool b) { return b; });
}

}  // namespace penstock::demo
