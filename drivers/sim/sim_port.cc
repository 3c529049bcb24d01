#include "drivers/sim/sim_port.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "drivers/sim/sim_net.h"

namespace penstock {

using Buffer = std::vector<std::byte>;

SimPort::SimPort(SimNet& net, size_t index, uint64_t seed, const SimPortConfig& config)
    : faults(config.faults), net_(net), index_(index), random_(seed | 1), config_(config) {
  info_.name = config.name;
  info_.mac = {2, 0, 0, 0, static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)};
  info_.max_frame = config.max_frame;
  info_.chains = config.chains;
}

SimPort::~SimPort() {
  give_back(~uint64_t{0});
  for (Buffer* b : spare_)
    delete b;
}

uint64_t SimPort::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ * 0x2545f4914f6cdd1d >> 16;
}

bool SimPort::loses(size_t bytes) {
  if (faults.cut) return true;
  if (faults.swallow_above != 0 && bytes > faults.swallow_above) return true;
  if (losing_ != 0 && net_.now() - losing_since_ <= faults.lose_for_ns) {
    losing_--;
    return true;
  }
  if (!chance(faults.lose)) return false;
  losing_ = faults.lose_run - 1;
  losing_since_ = net_.now();
  return true;
}

uint64_t SimPort::wire_ns(size_t bytes) const {
  constexpr size_t kMore = 24;  // preamble, check sequence, pause
  return config_.gbps == 0 ? 0 : (std::max<size_t>(bytes, 60) + kMore) * 8 / config_.gbps;
}

Buffer* SimPort::spare() {
  if (spare_.empty()) return new Buffer;
  Buffer* b = spare_.back();
  spare_.pop_back();
  return b;
}

size_t SimPort::rx_burst(std::span<Frame> out) {
  const size_t n = std::min(out.size(), queue_.size());
  for (size_t i = 0; i < n; i++) {
    Buffer* bytes = spare();
    *bytes = std::move(queue_.front());
    queue_.pop_front();
    out[i] = {};
    out[i].data = bytes->data();
    out[i].len = static_cast<uint32_t>(bytes->size());
    out[i].handle = bytes;
    stats_.rx_frames.add(1);
    stats_.rx_bytes.add(bytes->size());
  }
  held_ += n;
  return n;
}

size_t SimPort::tx_alloc(std::span<Frame> out) {
  const size_t n = std::min(out.size(), config_.buffers - std::min(config_.buffers, held_));
  for (size_t i = 0; i < n; i++) {
    Buffer* b = spare();
    b->resize(info_.max_frame);
    out[i] = {};
    out[i].data = b->data();
    out[i].room = info_.max_frame;
    out[i].handle = b;
  }
  if (n < out.size()) stats_.no_buffers.add(1);
  held_ += n;
  return n;
}

// A frame that refers to memory which was not mapped, or is too long, is a bug of the caller.
size_t SimPort::tx_burst(std::span<const Frame> in) {
  give_back(net_.now());
  const size_t room = config_.tx_room - std::min(config_.tx_room, sending_.size());
  const auto taken = in.first(std::min(in.size(), room));
  for (const Frame& f : taken) {
    assert(f.len <= f.room && f.len + f.payload_len <= info_.max_frame);
    Buffer bytes(f.data, f.data + f.len);
    if (f.payload_len != 0) {
      assert(f.region != nullptr);
      assert(f.region->copied || std::ranges::count(regions_, f.region) == 1);
      assert(f.payload >= f.region->base &&
             f.payload + f.payload_len <= f.region->base + f.region->bytes);
      bytes.insert(bytes.end(), f.payload, f.payload + f.payload_len);
      if (!info_.chains || f.region->copied) stats_.tx_linearized.add(1);
    }
    if (f.region != nullptr) f.region->in_flight.take();
    up_free_ = std::max(up_free_, net_.now()) + wire_ns(bytes.size());
    const uint64_t done = std::max(net_.now() + config_.tx_ns, up_free_);
    sending_.push_back({done, f.region});
    stats_.tx_frames.add(1);
    stats_.tx_bytes.add(bytes.size());
    net_.send(*this, std::move(bytes));
  }
  if (taken.size() < in.size()) stats_.tx_full.add(in.size() - taken.size());
  release(taken);
  give_back(net_.now());
  return taken.size();
}

void SimPort::release(std::span<const Frame> frames) {
  assert(held_ >= frames.size());
  for (const Frame& f : frames)
    spare_.push_back(static_cast<Buffer*>(f.handle));
  held_ -= frames.size();
}

Errc SimPort::map_region(const Region& region) {
  if (!config_.maps) return Errc::kNoMemory;
  if (std::ranges::count(regions_, &region) != 0) return Errc::kBusy;
  regions_.push_back(&region);
  return Errc::kOk;
}

void SimPort::unmap_region(const Region& region) {
  std::erase(regions_, &region);
}

void SimPort::stop() {
  give_back(~uint64_t{0});
  queue_.clear();
  config_.rx_queue = 0;
  faults.cut = true;
}

void SimPort::inject(std::span<const std::byte> bytes) {
  deliver(Buffer(bytes.begin(), bytes.end()));
}

void SimPort::deliver(Buffer bytes) {
  if (queue_.size() >= config_.rx_queue) {
    stats_.rx_missed.add(1);
    return;
  }
  queue_.push_back(std::move(bytes));
}

void SimPort::give_back(uint64_t now) {
  while (!sending_.empty() && sending_.front().done_at <= now) {
    if (sending_.front().region != nullptr) sending_.front().region->in_flight.give_back();
    sending_.pop_front();
  }
}

}  // namespace penstock
