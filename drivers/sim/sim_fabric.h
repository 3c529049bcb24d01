// SimFabric: an RDMA device in memory; SimFabricNet: what joins several, on virtual time. They move
// true bytes and keep the rules of verbs: states of queue pairs, keys and bounds, one shared
// receive queue, completions in order, flush on error. From a seed they delay, reorder between (and
// if asked within) queue pairs, and break requests with any fate of their bytes. One thread.
//
//   A: post ──▶ [ send queue ] ──delay──▶ checks, bytes, receive ──▶ B: immediate
//   A: poll ◀── completion ◀──delay── answer
//
// Same seed and same calls: the same run, which trace() proves. Nothing allocates after set-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "rdma/fabric.h"

namespace penstock {

class SimEndpoint;
class SimFabric;

// What happens to what a device posts. May be changed at any time.
struct SimFabricFaults {
  uint64_t delay_ns = 1000;  // one way
  uint64_t jitter_ns = 0;    // up to so much more, for each request on its own
  uint32_t late = 0;         // of a million: requests that were lost and are sent again,
  uint64_t late_ns = 20000;  // so much later
  uint32_t swapped = 0;      // of a million: requests that land before an earlier one
  uint32_t broken = 0;       // of a million: requests that end in an error; whether they arrive,
                             // wholly, in part or not at all, is chance
  uint64_t timeout_ns = 500'000;   // how long a peer that does not answer is tried
  uint64_t not_ready_ns = 0;       // how long one without a receive is tried
  uint64_t try_again_ns = 10'000;  // how often
};

struct SimFabricConfig {
  const char* name = "sim";
  uint32_t max_inline = 220;
  uint32_t max_message = 1u << 30;
  uint32_t send_depth = 256;
  uint32_t receive_depth = 4096;
  uint32_t max_endpoints = 64;
  uint32_t max_registrations = 4096;
  uint64_t max_registration = uint64_t{1} << 40;
  uint64_t max_registered = ~uint64_t{0};  // bytes of all of them: the limit on locked memory
  uint32_t gbps = 0;                       // of its cable; 0: bytes take no time
  bool dma_bufs = false;                   // takes them: any file that is as long
  SimFabricFaults faults{};
};

class SimFabricNet {
 public:
  explicit SimFabricNet(uint64_t seed) : seed_(seed) {}

  // The net owns the device.
  SimFabric& add(const SimFabricConfig& config = {});

  // Moves the time to `now` (never back), and does what is due by then.
  void advance(uint64_t now);
  uint64_t now() const { return now_; }
  // When something happens next by itself, ~0 for never.
  uint64_t next_event() const;

  // A number that depends on every request, its fate and its time.
  uint64_t trace() const { return trace_; }

 private:
  friend class SimEndpoint;
  friend class SimFabric;

  void note(uint64_t word) { trace_ = (trace_ ^ word) * 0x100000001b3; }

  uint64_t seed_;
  uint64_t now_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325;
  std::vector<std::unique_ptr<SimFabric>> devices_;
  std::vector<SimEndpoint*> endpoints_;  // of all devices
};

// A queue of fixed room.
template <class T>
class SimQueue {
 public:
  explicit SimQueue(size_t room) : items_(room) {}
  size_t size() const { return tail_ - head_; }
  bool full() const { return size() == items_.size(); }
  T& front() { return items_[head_ % items_.size()]; }
  T& operator[](size_t i) { return items_[(head_ + i) % items_.size()]; }
  void pop() { head_++; }
  void push(const T& item) { items_[tail_++ % items_.size()] = item; }
  void cut(size_t size) { tail_ = head_ + size; }

 private:
  std::vector<T> items_;
  size_t head_ = 0;
  size_t tail_ = 0;
};

class SimFabric final : public Fabric {
 public:
  SimFabric(SimFabricNet& net, uint32_t index, uint64_t seed, const SimFabricConfig& config);
  ~SimFabric() override;

  SimFabricFaults faults;

  const char* name() const override { return config_.name; }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override { return port_up_; }
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override;
  Result<Registration> register_dma_buf(int fd, uint64_t offset, std::byte* base, uint64_t bytes,
                                        uint32_t rights) override;
  void deregister(const Registration& registration) override;
  Result<std::unique_ptr<Endpoint>> create_endpoint() override;
  Polled poll(std::span<FabricCompletion> completions,
              std::span<FabricImmediate> immediates) override;
  size_t events(std::span<FabricEvent> out) override;

  void set_port(bool up);
  // The device ends: one event, and nothing more comes or goes.
  void die();
  // The next request to land that was posted on this device ends with `code`; `arrives`: after its
  // bytes and its immediate did.
  void break_next(FabricCode code, bool arrives);

  // Requests that named memory of this side which had been deregistered: bugs of the caller.
  uint64_t used_after_deregistration() const { return used_after_deregistration_; }
  size_t registered() const { return registered_; }

 private:
  friend class SimEndpoint;
  friend class SimFabricNet;

  struct Memory {
    std::byte* base = nullptr;
    uint64_t bytes = 0;
    uint64_t address = 0;
    uint32_t rights = 0;
    uint32_t generation = 1;
    bool live = false;
  };

  // `frees`: requests of the endpoint whose places are free when it has been polled.
  struct Answer {
    FabricCompletion completion;
    uint64_t frees = 0;
  };

  uint64_t random();
  bool chance(uint32_t of_a_million) { return random() % 1'000'000 < of_a_million; }
  SimEndpoint* find(uint32_t number) const;
  void forget(SimEndpoint& endpoint);
  size_t receives() const { return config_.receive_depth - immediates_.size(); }
  // Where a peer's request goes, or null: the key, the bounds or the right are wrong.
  std::byte* remote(uint32_t key, uint64_t address, uint64_t bytes, uint32_t right) const;
  bool local_ok(const FabricRequest& request);
  void complete(const FabricCompletion& completion, uint64_t frees);
  void event(FabricEventKind kind, uint32_t endpoint);
  bool alive() const { return port_up_ && !dead_; }

  SimFabricNet& net_;
  uint32_t index_;
  uint64_t random_;
  SimFabricConfig config_;
  FabricLimits limits_;
  FabricStats stats_;
  std::vector<Memory> memory_;
  SimQueue<uint32_t> free_memory_;  // oldest first, so that a key comes back late
  std::vector<SimEndpoint*> endpoints_;
  std::vector<uint32_t> lives_;  // of each place in endpoints_
  SimQueue<Answer> completions_;
  SimQueue<FabricImmediate> immediates_;
  SimQueue<FabricEvent> events_;
  size_t registered_ = 0;
  uint64_t registered_bytes_ = 0;
  uint64_t cable_free_ = 0;
  uint64_t used_after_deregistration_ = 0;
  FabricCode broken_next_ = FabricCode::kOk;
  bool broken_arrives_ = false;
  bool port_up_ = true;
  bool dead_ = false;
};

}  // namespace penstock
