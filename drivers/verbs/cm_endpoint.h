// CmEndpoint: a VerbsEndpoint that rdma_cm connects (cm_fabric.h).
//
//            connect()                    answered, or its answer was            error, stop(),
//   new ────────────────▶ connecting ──────────────────────────────▶ ready       out of time
//    └─ asked by the peer, kept ─┘                                      any ──────────▶ failed
#pragma once

#include <memory>
#include <mutex>

#include "drivers/verbs/cm_fabric.h"
#include "drivers/verbs/held_requests.h"
#include "drivers/verbs/verbs_endpoint.h"

namespace penstock {

class CmEndpoint final : public Endpoint {
 public:
  CmEndpoint(CmFabric& fabric, std::unique_ptr<VerbsEndpoint> pair, uint64_t token);
  ~CmEndpoint() override;

  uint32_t number() const override { return pair_->number(); }
  EndpointAddress address() const override;
  Errc connect(const EndpointAddress& peer) override;
  State state() const override;
  void stop() override;
  size_t post(std::span<const FabricRequest> in) override;

  // --- what the fabric calls ---

  // What one endpoint says to the other when it asks and when it answers.
  static constexpr uint32_t kMagic = 0x31636d72;  // "rmc1": by the connection manager
  struct Greeting {
    uint32_t magic;
    uint32_t reserved;
    uint64_t from;
    uint64_t to;
  };
  uint64_t token() const { return token_; }
  bool connecting() const { return way_ == Way::kConnecting; }
  // Control: the peer asks, by a connection of its own. True: taken, this endpoint sees to it.
  bool asked_by(rdma_cm_id* id, uint64_t from);
  // Control: the connection manager says so of this endpoint's connection.
  void said(rdma_cm_id* id, rdma_cm_event_type what);
  void look_at_clock(uint64_t now_ns);
  // Worker, under the lock: gives to the device, or back, what is held. Returns how many
  // completions it made; `all`: nothing is held any more.
  size_t let_go(std::span<FabricCompletion> out, bool* all);

 private:
  enum class Way : uint8_t { kNew, kConnecting, kReady, kFailed };

  bool begin();
  Errc ask();
  bool answer();
  bool make_ready();
  rdma_conn_param terms(const Greeting& greeting) const;
  void set(Way way, FabricCode why = FabricCode::kOk);
  void drop_connection();
  void fail(FabricCode why);

  CmFabric& fabric_;
  const std::unique_ptr<VerbsEndpoint> pair_;
  const uint64_t token_;
  // Control's.
  rdma_cm_id* id_ = nullptr;
  uint64_t peer_ = 0;   // token of the one to join
  uint64_t asker_ = 0;  // token of the one that asked, by id_, before connect() was called
  CmFabric::Place to_;  // where it listens
  uint64_t ends_ns_ = 0;
  uint64_t again_ns_ = 0;  // 0: not to be tried again
  // Written by control under the lock.
  Way way_ = Way::kNew;
  FabricCode why_ = FabricCode::kOk;
  // The worker's.
  bool open_ = false;
  bool told_ = false;  // the request that a failure hit has come back
  HeldRequests held_;
};

// IPv4 is mapped into IPv6, as in a GID.
sockaddr_storage cm_socket_address(const std::array<uint8_t, 16>& ip, uint16_t port);

}  // namespace penstock
