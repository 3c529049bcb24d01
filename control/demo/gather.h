// Gather: puts the layers of one step together as their messages come in. The server gathers a
// gradient of every rank, a trainer the weights of one server. Owned by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "control/demo/messages.h"
#include "control/demo/model.h"

namespace penstock::demo {

class Gather {
 public:
  explicit Gather(uint32_t ranks) : layers_(ranks, zeros()), have_(ranks * kLayers, false) {}

  // Starts on `step`; what was gathered before is forgotten.
  void start(uint32_t step);
  uint32_t step() const { return step_; }

  // Takes a layer whose header read_header gave. False when it is not of this step, of no such
  // rank, or there already: a message that was asked for twice changes nothing.
  bool take(const MessageHeader& header, std::span<const std::byte> message);

  bool whole() const { return missing_ == 0; }
  bool has(uint32_t rank) const;  // every layer of this rank
  std::span<const Layers> layers() const { return layers_; }

 private:
  uint32_t step_ = 0;
  std::vector<Layers> layers_;
  std::vector<bool> have_;  // of each rank, each layer
  size_t missing_ = have_.size();
};

}  // namespace penstock::demo
