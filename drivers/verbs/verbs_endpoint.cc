#include "drivers/verbs/verbs_endpoint.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <endian.h>

namespace penstock {
namespace {

constexpr uint32_t kMagic = 0x31637672;  // "rvc1": reliable, verbs
constexpr uint8_t kMostReads = 16;       // gets of a queue pair on their way at once
constexpr int kTries = 3;                // the peer's hardware address may have to be found first

struct Wire {
  uint32_t magic;
  uint32_t number;
  uint32_t first;
  uint16_t lid;
  uint8_t ethernet;
  uint8_t mtu;
  uint8_t reads;
  uint8_t reserved[3];
  std::array<uint8_t, 16> gid;
};
static_assert(sizeof(Wire) <= sizeof(EndpointAddress));

}  // namespace

VerbsEndpoint::~VerbsEndpoint() {
  fabric_.endpoints_--;
  fabric_.v_.destroy_qp(pair_);
}

Errc VerbsEndpoint::prepare() {
  ibv_qp_attr a{};
  a.qp_state = IBV_QPS_INIT;
  a.port_num = fabric_.config_.port;
  a.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  const int wrong = fabric_.v_.modify_qp(
      pair_, &a, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  return wrong == 0 ? Errc::kOk : Errc::kSystem;
}

EndpointAddress VerbsEndpoint::address() const {
  const VerbsFabric::Place& place = fabric_.place_;
  Wire w{};
  w.magic = kMagic;
  w.number = pair_->qp_num;
  w.first = first_;
  w.lid = place.lid;
  w.ethernet = place.ethernet ? 1 : 0;
  w.mtu = static_cast<uint8_t>(place.mtu);
  w.reads = static_cast<uint8_t>(std::min<int>(
      {fabric_.device_.max_qp_rd_atom, fabric_.device_.max_qp_init_rd_atom, kMostReads}));
  std::memcpy(w.gid.data(), place.gid.raw, w.gid.size());
  EndpointAddress out{};
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Errc VerbsEndpoint::connect(const EndpointAddress& peer) {
  Wire mine{};
  Wire w{};
  std::memcpy(&mine, address().data(), sizeof mine);
  std::memcpy(&w, peer.data(), sizeof w);
  if (w.magic != kMagic || w.ethernet != mine.ethernet || w.mtu < IBV_MTU_256 ||
      w.mtu > IBV_MTU_4096 || w.number > 0xff'ffff || w.first > 0xff'ffff || w.reads == 0)
    return Errc::kInvalid;
  if (connected_) return Errc::kBusy;
  const VerbsFabric::Place& place = fabric_.place_;
  const VerbsConfig& config = fabric_.config_;
  ibv_qp_attr a{};
  a.qp_state = IBV_QPS_RTR;
  a.path_mtu = static_cast<ibv_mtu>(std::min(w.mtu, mine.mtu));
  a.dest_qp_num = w.number;
  a.rq_psn = w.first;
  a.max_dest_rd_atomic = std::min(w.reads, mine.reads);
  a.min_rnr_timer = 12;
  a.ah_attr.port_num = config.port;
  a.ah_attr.dlid = w.lid;
  a.ah_attr.is_global = place.ethernet ? 1 : 0;
  if (place.ethernet) {
    std::memcpy(a.ah_attr.grh.dgid.raw, w.gid.data(), w.gid.size());
    a.ah_attr.grh.sgid_index = place.gid_index;
    a.ah_attr.grh.hop_limit = 64;
    a.ah_attr.grh.traffic_class = config.traffic_class;
    // Another UDP source port for each pair, so that they spread over the paths of the network.
    a.ah_attr.grh.flow_label = (pair_->qp_num * 0x9e3779b1u ^ w.number) & 0xf'ffff;
  }
  int wrong = ETIMEDOUT;
  for (int i = 0; i < kTries && wrong == ETIMEDOUT; i++)
    wrong =
        fabric_.v_.modify_qp(pair_, &a,
                             IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                 IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
  if (wrong != 0) return wrong == ETIMEDOUT ? Errc::kTimeout : Errc::kSystem;
  a = {};
  a.qp_state = IBV_QPS_RTS;
  a.sq_psn = first_;
  a.timeout = config.timeout;
  a.retry_cnt = config.retries;
  a.rnr_retry = 0;  // with credits it never comes to that: a fault must show
  a.max_rd_atomic = std::min(w.reads, mine.reads);
  wrong = fabric_.v_.modify_qp(pair_, &a,
                               IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                                   IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
  if (wrong != 0) return Errc::kSystem;
  connected_ = true;
  return Errc::kOk;
}

bool VerbsEndpoint::become(ibv_qp_attr& state, int mask) {
  if (fabric_.v_.modify_qp(pair_, &state, mask) != 0) return false;
  connected_ |= state.qp_state == IBV_QPS_RTS;
  return true;
}

Endpoint::State VerbsEndpoint::state() const {
  ibv_qp_attr a{};
  ibv_qp_init_attr unused{};
  if (fabric_.v_.query_qp(pair_, &a, IBV_QP_STATE, &unused) != 0) return State::kError;
  if (a.qp_state == IBV_QPS_RTS) return State::kReady;
  return a.qp_state == IBV_QPS_INIT || a.qp_state == IBV_QPS_RTR ? State::kNew : State::kError;
}

void VerbsEndpoint::stop() {
  ibv_qp_attr a{};
  a.qp_state = IBV_QPS_ERR;
  fabric_.v_.modify_qp(pair_, &a, IBV_QP_STATE);
}

size_t VerbsEndpoint::post(std::span<const FabricRequest> in) {
  if (!connected_) return 0;
  size_t taken = 0;
  while (taken < in.size()) {
    const auto some = in.subspan(taken, std::min(kBurst, in.size() - taken));
    const size_t n = post_some(some);
    taken += n;
    if (n != 0) fabric_.stats_.doorbells.add(1);
    if (n < some.size()) break;
  }
  fabric_.stats_.requests.add(taken);
  return taken;
}

size_t VerbsEndpoint::post_some(std::span<const FabricRequest> in) {
  std::array<ibv_send_wr, kBurst> requests;
  std::array<ibv_sge, kBurst> places;
  for (size_t i = 0; i < in.size(); i++) {
    const FabricRequest& r = in[i];
    ibv_send_wr& w = requests[i];
    w = {};
    w.wr_id = r.id;
    w.next = i + 1 < in.size() ? &requests[i + 1] : nullptr;
    w.sg_list = &places[i];
    w.num_sge = r.bytes != 0 ? 1 : 0;
    places[i] = {reinterpret_cast<uintptr_t>(r.local), r.bytes, r.local_key};
    if (r.signalled) w.send_flags |= IBV_SEND_SIGNALED;
    if (r.inlined) w.send_flags |= IBV_SEND_INLINE;
    w.wr.rdma.remote_addr = r.remote_address;
    w.wr.rdma.rkey = r.remote_key;
    switch (r.op) {
      case FabricOp::kPut:
        w.opcode = IBV_WR_RDMA_WRITE;
        break;
      case FabricOp::kPutImmediate:
        w.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
        w.imm_data = htobe32(r.immediate);
        break;
      case FabricOp::kGet:
        w.opcode = IBV_WR_RDMA_READ;
        break;
      case FabricOp::kFlush:  // a read does not pass the writes before it
        w.opcode = IBV_WR_RDMA_READ;
        w.num_sge = 1;
        places[i] = {reinterpret_cast<uintptr_t>(fabric_.scratch_), 1,
                     fabric_.scratch_region_->lkey};
        break;
    }
  }
  ibv_send_wr* bad = nullptr;
  if (ibv_post_send(pair_, requests.data(), &bad) == 0) return in.size();
  return bad == nullptr ? 0 : static_cast<size_t>(bad - requests.data());
}

}  // namespace penstock
