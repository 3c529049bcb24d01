// VerbsEndpoint: a reliable queue pair of a VerbsFabric.
#pragma once

#include "drivers/verbs/verbs_fabric.h"

namespace penstock {

class VerbsEndpoint final : public Endpoint {
 public:
  // Owns the queue pair, which is new. `first`: the number of its first packet.
  VerbsEndpoint(VerbsFabric& fabric, ibv_qp* pair, uint32_t first)
      : fabric_(fabric), pair_(pair), first_(first & 0xff'ffff) {}
  ~VerbsEndpoint() override;

  uint32_t number() const override { return pair_->qp_num; }
  EndpointAddress address() const override;
  Errc connect(const EndpointAddress& peer) override;
  State state() const override;
  void stop() override;
  size_t post(std::span<const FabricRequest> in) override;

  // A new pair has to be made ready to be addressed before its address is told.
  Errc prepare();
  // The next state, as the connection manager has it (cm_endpoint.h), in place of connect().
  bool become(ibv_qp_attr& state, int mask);

 private:
  friend class CmEndpoint;
  static constexpr size_t kBurst = 64;  // requests with one doorbell; longer bursts ring again

  size_t post_some(std::span<const FabricRequest> in);

  VerbsFabric& fabric_;
  ibv_qp* pair_;
  uint32_t first_;
  bool connected_ = false;
};

}  // namespace penstock
