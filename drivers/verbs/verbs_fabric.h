// VerbsFabric: a port of an RDMA device through rdma-core: reliable queue pairs, one completion
// queue and one shared receive queue for all of them. Endpoints are joined by addresses that the
// caller exchanges; over Ethernet that is RoCE v2, from the address of the interface.
//
//   post ──▶ send queue ──▶ device        one ibv_post_send a burst
//   poll ◀── completion queue ◀── device  completions, and receives: those are posted again in 16s
#pragma once

#include <memory>
#include <span>
#include <string>

#include "drivers/verbs/verbs_library.h"
#include "rdma/fabric.h"

namespace penstock {

struct VerbsConfig {
  std::string device;  // as `ibv_devices` has it
  uint8_t port = 1;
  uint32_t max_endpoints = 64;
  uint32_t send_depth = 256;
  uint32_t receive_depth = 4096;
  uint32_t max_inline = 220;  // asked for; the device says what it takes
  uint8_t timeout = 14;       // 4.096 us * 2^this until a request is tried again: 67 ms
  uint8_t retries = 6;  // of 7 soft-RoCE makes "for ever", and then nothing is bounded in time
  uint8_t traffic_class = 106;  // DSCP 26: where RoCE networks expect it
};

class VerbsFabric final : public Fabric {
 public:
  static OrSentence<std::unique_ptr<VerbsFabric>> open(const VerbsConfig& config);
  ~VerbsFabric() override;

  const char* name() const override { return config_.device.c_str(); }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override;
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override;
  Result<Registration> register_dma_buf(int fd, uint64_t offset, std::byte* base, uint64_t bytes,
                                        uint32_t rights) override;
  void deregister(const Registration& registration) override;
  Result<std::unique_ptr<Endpoint>> create_endpoint() override;
  Polled poll(std::span<FabricCompletion> completions,
              std::span<FabricImmediate> immediates) override;
  size_t events(std::span<FabricEvent> out) override;
  int event_fd() const override { return context_->async_fd; }

  // Where it is in the network.
  struct Place {
    bool ethernet = false;
    uint16_t lid = 0;
    uint8_t gid_index = 0;
    ibv_gid gid{};
    ibv_mtu mtu = IBV_MTU_1024;
  };

  const Place& place() const { return place_; }
  // Whether it registers memory of other devices, which comes as a dma-buf. Control only.
  bool takes_dma_buf() const;

 private:
  friend class VerbsEndpoint;
  friend class CmEndpoint;
  friend class CmFabric;

  VerbsFabric(const VerbsLibrary& library, const VerbsConfig& config)
      : v_(library), config_(config) {}
  std::string start();  // what went wrong, or nothing
  std::string open_device();
  std::string find_place();
  std::string make_queues();
  ibv_qp* make_queue_pair(uint32_t max_inline) const;
  bool query_port(ibv_port_attr& port) const;
  void give_receives(uint32_t n);

  const VerbsLibrary& v_;
  VerbsConfig config_;
  FabricLimits limits_;
  FabricStats stats_;
  Place place_;
  ibv_device_attr device_{};
  ibv_context* context_ = nullptr;
  ibv_pd* domain_ = nullptr;
  ibv_cq* queue_ = nullptr;
  ibv_srq* receives_ = nullptr;
  ibv_mr* scratch_region_ = nullptr;
  std::byte scratch_[64]{};  // where flushes read to
  uint32_t endpoints_ = 0;
  uint32_t receives_owed_ = 0;  // polled, not posted again yet
};

// As people write it, "10.0.0.1" or "fe80::1"; and how many bytes an MTU is.
std::string text(const ibv_gid& gid);
uint32_t bytes(ibv_mtu mtu);

}  // namespace penstock
