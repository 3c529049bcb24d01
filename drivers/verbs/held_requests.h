// HeldRequests: what was posted on an endpoint that is still being connected. It goes to the device
// when the endpoint is ready, or comes back when it never will be. Of fixed size from the start;
// owned by the worker that posts.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "rdma/fabric.h"

namespace penstock {

class HeldRequests {
 public:
  // Room for as many as a send queue has, with what each may bring inline.
  HeldRequests(uint32_t depth, uint32_t max_inline)
      : max_inline_(max_inline), requests_(depth), inlined_(size_t{depth} * max_inline) {}

  bool empty() const { return first_ == end_; }

  // Takes from the front of `in` as many as there is room for. What is inlined is copied: its
  // source is free at once. Room comes back when all are gone.
  size_t hold(std::span<const FabricRequest> in) {
    size_t n = 0;
    for (; n < in.size() && end_ < requests_.size(); n++, end_++) {
      FabricRequest& r = requests_[end_] = in[n];
      if (!r.inlined || r.bytes == 0) continue;
      std::byte* place = inlined_.data() + end_ * max_inline_;
      std::memcpy(place, r.local, r.bytes);
      r.local = place;
    }
    return n;
  }
  // In the order in which they were held.
  std::span<const FabricRequest> waiting() const {
    return {requests_.data() + first_, end_ - first_};
  }
  // So many of the first have gone.
  void gone(size_t n) {
    first_ += n;
    if (first_ == end_) first_ = end_ = 0;
  }

 private:
  size_t max_inline_;
  std::vector<FabricRequest> requests_;
  std::vector<std::byte> inlined_;
  size_t first_ = 0;
  size_t end_ = 0;
};

}  // namespace penstock
