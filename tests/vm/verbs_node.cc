#include "tests/vm/verbs_node.h"

#include <chrono>
#include <endian.h>
#include <poll.h>
#include <thread>

namespace penstock {
namespace {

constexpr int kWaitMs = 30'000;
constexpr int kRemote = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

ibv_context* open_device(const std::string& name) {
  ibv_context* context = nullptr;
  ibv_device** all = ibv_get_device_list(nullptr);
  for (ibv_device** d = all; d != nullptr && *d != nullptr; d++)
    if (name == ibv_get_device_name(*d)) context = ibv_open_device(*d);
  if (all != nullptr) ibv_free_device_list(all);
  return context;
}

}  // namespace

VerbsNode::VerbsNode(const std::string& device) : context_(open_device(device)) {
  if (context_ == nullptr || !find_gid()) return;
  domain_ = ibv_alloc_pd(context_);
  completions_ = ibv_create_cq(context_, 128, nullptr, nullptr, 0);
  if (domain_ == nullptr || completions_ == nullptr) return;
  memory_region_ =
      ibv_reg_mr(domain_, memory_.data(), memory_.size(), IBV_ACCESS_LOCAL_WRITE | kRemote);
  ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {.max_send_wr = 64,
                .max_recv_wr = 64,
                .max_send_sge = 1,
                .max_recv_sge = 1,
                .max_inline_data = 0};
  queue_pair_ = ibv_create_qp(domain_, &wanted);
}

VerbsNode::~VerbsNode() {
  if (queue_pair_ != nullptr) ibv_destroy_qp(queue_pair_);
  if (memory_region_ != nullptr) ibv_dereg_mr(memory_region_);
  if (completions_ != nullptr) ibv_destroy_cq(completions_);
  if (domain_ != nullptr) ibv_dealloc_pd(domain_);
  if (context_ != nullptr) ibv_close_device(context_);
}

// The address of RoCE v2 and IPv4; the first one is link-local.
bool VerbsNode::find_gid() {
  for (uint8_t i = 0; i < 8; i++) {
    ibv_gid_entry entry{};
    if (ibv_query_gid_ex(context_, 1, i, &entry, 0) != 0) continue;
    if (entry.gid_type != IBV_GID_TYPE_ROCE_V2 || entry.gid.global.subnet_prefix != 0) continue;
    gid_ = entry.gid;
    gid_index_ = i;
    return true;
  }
  return false;
}

VerbsAddress VerbsNode::address() const {
  return {gid_, queue_pair_->qp_num, memory_region_->rkey,
          reinterpret_cast<uint64_t>(memory_.data())};
}

bool VerbsNode::connect(const VerbsAddress& peer, Patience patience) {
  ibv_qp_attr a{};
  a.qp_state = IBV_QPS_INIT;
  a.port_num = 1;
  a.qp_access_flags = kRemote;
  int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  if (ibv_modify_qp(queue_pair_, &a, mask) != 0) return false;
  a = {};
  a.qp_state = IBV_QPS_RTR;
  a.path_mtu = IBV_MTU_4096;
  a.dest_qp_num = peer.queue_pair;
  a.max_dest_rd_atomic = 4;
  a.min_rnr_timer = 12;
  a.ah_attr.is_global = 1;
  a.ah_attr.port_num = 1;
  a.ah_attr.grh.dgid = peer.gid;
  a.ah_attr.grh.sgid_index = gid_index_;
  a.ah_attr.grh.hop_limit = 8;
  mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  // It has to find its neighbour first, which may take longer than it waits.
  int refused = -1;
  for (int i = 0; i < 5 && refused != 0; i++)
    refused = ibv_modify_qp(queue_pair_, &a, mask);
  if (refused != 0) return false;
  a = {};
  a.qp_state = IBV_QPS_RTS;
  a.timeout = patience.timeout;
  a.retry_cnt = patience.retries;
  a.rnr_retry = 7;
  a.max_rd_atomic = 4;
  mask = IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
         IBV_QP_MAX_QP_RD_ATOMIC;
  return ibv_modify_qp(queue_pair_, &a, mask) == 0;
}

bool VerbsNode::post(ibv_wr_opcode what, const VerbsAddress& at, uint32_t bytes, uint64_t offset,
                     uint32_t immediate) {
  ibv_sge part{reinterpret_cast<uint64_t>(memory_.data()), bytes, memory_region_->lkey};
  ibv_send_wr request{}, *bad = nullptr;
  request.sg_list = &part;
  request.num_sge = 1;
  request.opcode = what;
  request.send_flags = IBV_SEND_SIGNALED;
  request.imm_data = htobe32(immediate);
  request.wr.rdma.remote_addr = at.memory + offset;
  request.wr.rdma.rkey = at.key;
  return ibv_post_send(queue_pair_, &request, &bad) == 0;
}

bool VerbsNode::write(const VerbsAddress& to, uint32_t bytes, uint64_t offset) {
  return post(IBV_WR_RDMA_WRITE, to, bytes, offset, 0);
}

bool VerbsNode::write_with_immediate(const VerbsAddress& to, uint32_t bytes, uint32_t immediate) {
  return post(IBV_WR_RDMA_WRITE_WITH_IMM, to, bytes, 0, immediate);
}

bool VerbsNode::read(const VerbsAddress& from, uint32_t bytes, uint64_t offset) {
  return post(IBV_WR_RDMA_READ, from, bytes, offset, 0);
}

bool VerbsNode::post_receive() {
  ibv_recv_wr request{}, *bad = nullptr;
  return ibv_post_recv(queue_pair_, &request, &bad) == 0;
}

ibv_wc VerbsNode::completion() {
  ibv_wc done{};
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kWaitMs);
  while (ibv_poll_cq(completions_, 1, &done) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      done.status = IBV_WC_GENERAL_ERR;
      return done;
    }
    std::this_thread::yield();
  }
  return done;
}

int VerbsNode::event() {
  pollfd ready{context_->async_fd, POLLIN, 0};
  ibv_async_event event{};
  if (poll(&ready, 1, kWaitMs) != 1 || ibv_get_async_event(context_, &event) != 0) return -1;
  ibv_ack_async_event(&event);
  return event.event_type;
}

}  // namespace penstock
