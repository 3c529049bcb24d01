#include "rdma/imm_counter.h"

#include <algorithm>

namespace penstock {

Errc ImmCounter::expect(uint32_t slot, uint32_t chunks) {
  if (slot >= slots_.size() || chunks == 0) return Errc::kInvalid;
  if (chunks > max_chunks_) return Errc::kTooBig;
  if (slots_[slot].expected != 0) return Errc::kBusy;
  slots_[slot] = {chunks, 0};
  std::ranges::fill(bits(slot), 0);
  return Errc::kOk;
}

}  // namespace penstock
