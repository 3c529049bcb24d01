// Carrier: what brings frames from one emulated device to another, unreliably, and knows the time.
// drivers/udp makes one of a Port. In bursts; all of it belongs to the worker, but what is said to
// be control's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/errc.h"

namespace penstock {

// Where a device can be reached: opaque, told to the peer in an endpoint's address.
using CarrierPlace = std::array<std::byte, 32>;

// A frame to be sent. The carrier owns the bytes.
struct CarrierFrame {
  std::byte* data = nullptr;
  uint32_t len = 0;  // 0: it is not sent
  uint32_t route = 0;
};

class Carrier {
 public:
  static constexpr size_t kBurst = 32;

  Carrier() = default;
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  virtual ~Carrier() = default;

  // Control. A route is taken for each endpoint; kInvalid: no place of this kind of carrier. kFull:
  // there are max_routes().
  virtual const char* name() const = 0;
  virtual CarrierPlace place() const = 0;
  virtual uint32_t max_frame() const = 0;
  virtual uint32_t max_routes() const = 0;
  virtual Result<uint32_t> take_route(const CarrierPlace& to) = 0;
  virtual void leave_route(uint32_t route) = 0;

  virtual uint64_t now() = 0;  // ns
  virtual bool up() = 0;

  // Frames of max_frame() bytes, at most kBurst; fewer, or none, when there is no room. All are
  // given back by the next send(), which may lose any.
  virtual std::span<CarrierFrame> alloc() = 0;
  virtual void send() = 0;

  // What has come, at most kBurst frames, good until release().
  virtual std::span<const std::span<const std::byte>> receive() = 0;
  virtual void release() = 0;
};

}  // namespace penstock
