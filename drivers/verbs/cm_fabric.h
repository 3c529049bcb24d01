// CmFabric: a VerbsFabric whose endpoints are joined by the kernel's connection manager (rdma_cm)
// over the IP address of the device, instead of by what addresses say: for networks in which only
// that knows the way. All else is the same.
//
//   control   connect ──▶ [ active: address, route, request ] ══ rdma_cm ══▶ listener of the peer
//             events ◀── progress: what the connection manager says          ├── its connect() was
//   worker    post ──▶ held until ready ──▶ send queue                       │   called: accept
//             poll ──▶ lets go of what is held                               └── not yet: kept
//
// An address is that of the listener, one for each fabric, and a token that nobody can guess. Of
// two endpoints the one with the smaller token asks. connect() returns at once; control calls
// events() or progress() now and then, which drains what the connection manager says. What does not
// connect within `connect_ms` has failed: what was posted comes back as kTimeout.
//
// Threads: as in fabric.h. Control and the worker meet at one lock while endpoints are being
// connected, and only then; the worker tries it and never waits.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dataplane/base/fd.h"
#include "drivers/verbs/cm_library.h"
#include "drivers/verbs/verbs_fabric.h"

namespace penstock {

class CmEndpoint;

struct CmConfig {
  VerbsConfig verbs;
  uint32_t connect_ms = 5000;
};

class CmFabric final : public Fabric {
 public:
  static OrSentence<std::unique_ptr<CmFabric>> open(const CmConfig& config);
  ~CmFabric() override;

  const char* name() const override { return verbs_->name(); }
  const FabricLimits& limits() const override { return verbs_->limits(); }
  const FabricStats& stats() const override { return verbs_->stats(); }
  bool port_up() const override { return verbs_->port_up(); }
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override {
    return verbs_->register_memory(base, bytes, rights);
  }
  Result<Registration> register_dma_buf(int fd, uint64_t offset, std::byte* base, uint64_t bytes,
                                        uint32_t rights) override {
    return verbs_->register_dma_buf(fd, offset, base, bytes, rights);
  }
  void deregister(const Registration& registration) override { verbs_->deregister(registration); }
  Result<std::unique_ptr<Endpoint>> create_endpoint() override;
  Polled poll(std::span<FabricCompletion> completions,
              std::span<FabricImmediate> immediates) override;
  size_t events(std::span<FabricEvent> out) override;
  int event_fd() const override { return both_.get(); }

  // What events() does first: connections get on.
  void progress();
  // Endpoints that are being connected: while there are any, progress() is worth its system call.
  size_t connecting() const;

 private:
  friend class CmEndpoint;

  // Where endpoints of this fabric are asked for.
  struct Place {
    std::array<uint8_t, 16> ip{};
    uint16_t port = 0;
  };

  CmFabric(const CmLibrary& library, const CmConfig& config) : cm_(library), config_(config) {}
  std::string start();
  void asked(rdma_cm_id* id, std::span<const std::byte> greeting);

  const CmLibrary& cm_;
  CmConfig config_;
  std::unique_ptr<VerbsFabric> verbs_;
  rdma_event_channel* channel_ = nullptr;
  rdma_cm_id* listener_ = nullptr;
  Place place_;
  Fd both_;  // readable when the device or the connection manager has something to say
  std::mutex lock_;
  std::vector<CmEndpoint*> endpoints_;  // changed by control, under the lock
  bool holding_ = false;                // the worker's: some endpoint may hold requests
};

}  // namespace penstock
