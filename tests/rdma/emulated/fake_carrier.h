// A carrier in memory: what is sent lies in `sent` until a test, or a fuzzer, gives it to somebody
// or not. Its time is what it is told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "rdma/emulated/carrier.h"

namespace penstock::test {

class FakeCarrier final : public Carrier {
 public:
  using Bytes = std::vector<std::byte>;

  uint64_t time = 1;
  bool works = true;
  size_t room = kBurst;  // frames at once
  std::deque<Bytes> sent;
  std::deque<Bytes> coming;

  const char* name() const override { return "fake"; }
  CarrierPlace place() const override { return {}; }
  uint32_t max_frame() const override { return 512; }
  uint32_t max_routes() const override { return 4; }
  Result<uint32_t> take_route(const CarrierPlace&) override { return 0u; }
  void leave_route(uint32_t) override {}
  uint64_t now() override { return time; }
  bool up() override { return works; }
  std::span<CarrierFrame> alloc() override {
    for (size_t i = 0; i < room; i++)
      out_[i] = {bytes_[i].data(), 0, 0};
    return {out_.data(), room};
  }
  void send() override {
    for (size_t i = 0; i < room && out_[i].len != 0; i++)
      sent.emplace_back(out_[i].data, out_[i].data + out_[i].len);
  }
  std::span<const std::span<const std::byte>> receive() override {
    size_t n = 0;
    for (; n < kBurst && !coming.empty(); n++, coming.pop_front()) {
      held_[n] = std::move(coming.front());
      in_[n] = held_[n];
    }
    return {in_.data(), n};
  }
  void release() override {}

 private:
  std::array<std::array<std::byte, 512>, kBurst> bytes_;
  std::array<CarrierFrame, kBurst> out_;
  std::array<Bytes, kBurst> held_;
  std::array<std::span<const std::byte>, kBurst> in_;
};

}  // namespace penstock::test
