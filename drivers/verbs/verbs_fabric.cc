#include "drivers/verbs/verbs_fabric.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <endian.h>
#include <fcntl.h>
#include <sys/random.h>

#include "drivers/verbs/verbs_endpoint.h"

namespace penstock {
namespace {

constexpr uint64_t kReceive = ~uint64_t{0};  // the id of every receive, and of no request
constexpr uint32_t kRefill = 16;             // receives posted at once

FabricCode code_of(ibv_wc_status status) {
  switch (status) {
    case IBV_WC_SUCCESS:
      return FabricCode::kOk;
    case IBV_WC_WR_FLUSH_ERR:
      return FabricCode::kCanceled;
    case IBV_WC_RETRY_EXC_ERR:
      return FabricCode::kTimeout;
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return FabricCode::kReceiverNotReady;
    case IBV_WC_REM_ACCESS_ERR:
      return FabricCode::kRemoteAccess;
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_LOC_QP_OP_ERR:  // what soft-RoCE says of a wrong local key
      return FabricCode::kLocalAccess;
    default:
      return FabricCode::kDevice;
  }
}

// Whether a GID may be used: made from an address of the interface, and not a link-local one.
bool usable(const ibv_gid_entry& g) {
  if (g.gid_type != IBV_GID_TYPE_ROCE_V2) return false;
  return !(g.gid.raw[0] == 0xfe && (g.gid.raw[1] & 0xc0) == 0x80);
}

int access_of(uint32_t rights) {
  return ((rights & kReadOnly) != 0 ? 0 : IBV_ACCESS_LOCAL_WRITE) |
         ((rights & kRemotePut) != 0 ? IBV_ACCESS_REMOTE_WRITE : 0) |
         ((rights & kRemoteGet) != 0 ? IBV_ACCESS_REMOTE_READ : 0);
}

bool is_ipv4(const ibv_gid& g) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(g.raw, kMapped, sizeof kMapped) == 0;
}

// Of so many lanes (1, 4, 8, 12 or 2 of them: a bit each), of a speed that also is a bit.
uint32_t gbps(uint8_t width, uint8_t speed) {
  constexpr uint32_t kLanes[] = {1, 4, 8, 12, 2};
  constexpr uint32_t kTenths[] = {25, 50, 100, 100, 140, 250, 500, 1000};
  const auto w = static_cast<unsigned>(std::countr_zero(width));
  const auto s = static_cast<unsigned>(std::countr_zero(speed));
  return w < std::size(kLanes) && s < std::size(kTenths) ? kLanes[w] * kTenths[s] / 10 : 0;
}

}  // namespace

std::string text(const ibv_gid& gid) {
  char out[INET6_ADDRSTRLEN] = "";
  if (is_ipv4(gid))
    inet_ntop(AF_INET, gid.raw + 12, out, sizeof out);
  else
    inet_ntop(AF_INET6, gid.raw, out, sizeof out);
  return out;
}

uint32_t bytes(ibv_mtu mtu) {
  return 128u << mtu;  // IBV_MTU_256 is 1
}

OrSentence<std::unique_ptr<VerbsFabric>> VerbsFabric::open(const VerbsConfig& config) {
  const auto library = VerbsLibrary::get();
  if (!library) return sentence(library.error());
  std::unique_ptr<VerbsFabric> f(new VerbsFabric(**library, config));
  std::string wrong = f->start();
  if (!wrong.empty()) return sentence(std::move(wrong));
  return f;
}

std::string VerbsFabric::start() {
  std::string wrong = open_device();
  if (wrong.empty()) wrong = find_place();
  if (wrong.empty()) wrong = make_queues();
  return wrong;
}

std::string VerbsFabric::open_device() {
  int n = 0;
  ibv_device** list = v_.get_device_list(&n);
  if (list == nullptr || n == 0) {
    if (list != nullptr) v_.free_device_list(list);
    return "no RDMA device: this host has none";
  }
  std::string names;
  for (int i = 0; i < n; i++) {
    const std::string name = v_.get_device_name(list[i]);
    names += (i == 0 ? "" : ", ") + name;
    if (name == config_.device) context_ = v_.open_device(list[i]);
  }
  const int why = errno;
  v_.free_device_list(list);
  if (context_ == nullptr)
    return names.find(config_.device) == std::string::npos
               ? "no RDMA device " + config_.device + ": there are " + names
               : "RDMA device " + config_.device + ": " + std::strerror(why);
  const int flags = fcntl(context_->async_fd, F_GETFL);
  if (flags < 0 || fcntl(context_->async_fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      v_.query_device(context_, &device_) != 0)
    return "RDMA device " + config_.device + ": cannot be asked what it can do";
  return {};
}

bool VerbsFabric::query_port(ibv_port_attr& port) const {
  port = {};
  return v_.query_port(context_, config_.port, reinterpret_cast<_compat_ibv_port_attr*>(&port)) ==
         0;
}

std::string VerbsFabric::find_place() {
  const std::string where =
      "RDMA device " + config_.device + ", port " + std::to_string(config_.port) + ": ";
  ibv_port_attr port;
  if (!query_port(port)) return where + "is not there";
  place_.ethernet = port.link_layer == IBV_LINK_LAYER_ETHERNET;
  place_.lid = port.lid;
  place_.mtu = port.active_mtu;
  limits_.max_message = port.max_msg_sz;
  limits_.gbps = gbps(port.active_width, port.active_speed);
  if (context_->device->transport_type == IBV_TRANSPORT_IWARP)
    return where + "speaks iWARP, which has no put with immediate: RoCE or InfiniBand is needed";
  if (!place_.ethernet) return {};
  bool found = false;
  for (uint32_t i = 0; i < static_cast<uint32_t>(port.gid_tbl_len) && i < 256; i++) {
    ibv_gid_entry g{};
    if (v_.query_gid_ex(context_, config_.port, i, &g, 0, sizeof g) != 0 || !usable(g)) continue;
    if (found && (is_ipv4(place_.gid) || !is_ipv4(g.gid))) continue;
    place_.gid = g.gid;
    place_.gid_index = static_cast<uint8_t>(i);
    found = true;
  }
  return found ? "" : where + "has no RoCE v2 address: give its interface an IP address";
}

ibv_qp* VerbsFabric::make_queue_pair(uint32_t max_inline) const {
  ibv_qp_init_attr a{};
  a.send_cq = queue_;
  a.recv_cq = queue_;
  a.srq = receives_;
  a.cap.max_send_wr = config_.send_depth;
  a.cap.max_send_sge = 1;
  a.cap.max_inline_data = max_inline;
  a.qp_type = IBV_QPT_RC;
  return v_.create_qp(domain_, &a);
}

std::string VerbsFabric::make_queues() {
  const std::string where = "RDMA device " + config_.device + ": ";
  const auto most = [](int device, uint32_t wanted) {
    return std::min(wanted, static_cast<uint32_t>(std::max(device, 0)));
  };
  config_.send_depth = most(device_.max_qp_wr, config_.send_depth);
  config_.receive_depth = most(device_.max_srq_wr, config_.receive_depth);
  // Every request and every receive may complete before anybody looks.
  const auto room = static_cast<uint32_t>(std::max(device_.max_cqe, 0));
  if (config_.receive_depth <= 2 * kRefill || room < config_.receive_depth + config_.send_depth)
    return where + "its queues are too short";
  config_.max_endpoints =
      std::min({config_.max_endpoints, (room - config_.receive_depth) / config_.send_depth,
                static_cast<uint32_t>(std::max(device_.max_qp, 1))});
  const auto depth =
      static_cast<int>(config_.max_endpoints * config_.send_depth + config_.receive_depth);
  domain_ = v_.alloc_pd(context_);
  if (domain_ == nullptr) return where + "no protection domain: " + std::strerror(errno);
  scratch_region_ = v_.reg_mr(domain_, scratch_, sizeof scratch_, IBV_ACCESS_LOCAL_WRITE);
  if (scratch_region_ == nullptr)
    return where + "registers no memory (" + std::strerror(errno) +
           "): raise the limit on locked memory, `ulimit -l`";
  queue_ = v_.create_cq(context_, depth, nullptr, nullptr, 0);
  if (queue_ == nullptr) return where + "no completion queue: " + std::strerror(errno);
  ibv_srq_init_attr s{};
  s.attr.max_wr = config_.receive_depth;
  s.attr.max_sge = 1;
  receives_ = v_.create_srq(domain_, &s);
  if (receives_ == nullptr) return where + "no shared receive queue: " + std::strerror(errno);
  // What it takes inline it says by trying.
  uint32_t max_inline = config_.max_inline;
  ibv_qp* probe = make_queue_pair(max_inline);
  while (probe == nullptr && max_inline != 0)
    probe = make_queue_pair(max_inline /= 2);
  if (probe == nullptr) return where + "no queue pair: " + std::strerror(errno);
  v_.destroy_qp(probe);
  receives_owed_ = config_.receive_depth;
  give_receives(config_.receive_depth);
  if (receives_owed_ != 0) return where + "takes no receives";
  limits_.capabilities = kFabricZeroCopy | kFabricOrdered;
  if (takes_dma_buf()) limits_.capabilities |= kFabricGpu;
  limits_.max_inline = max_inline;
  limits_.send_depth = config_.send_depth;
  limits_.receive_depth = config_.receive_depth - kRefill;  // so many may be owed
  limits_.max_endpoints = config_.max_endpoints;
  limits_.max_registration = device_.max_mr_size;
  return {};
}

VerbsFabric::~VerbsFabric() {
  if (receives_ != nullptr) v_.destroy_srq(receives_);
  if (queue_ != nullptr) v_.destroy_cq(queue_);
  if (scratch_region_ != nullptr) v_.dereg_mr(scratch_region_);
  if (domain_ != nullptr) v_.dealloc_pd(domain_);
  if (context_ != nullptr) v_.close_device(context_);
}

// Asked with a descriptor that is none: the driver that knows dma-bufs says so (EBADF), the other
// one that it does not.
bool VerbsFabric::takes_dma_buf() const {
  constexpr size_t kPage = 4096;
  if (v_.reg_dmabuf_mr == nullptr) return false;
  ibv_mr* none = v_.reg_dmabuf_mr(domain_, 0, kPage, 0, -1, IBV_ACCESS_LOCAL_WRITE);
  if (none == nullptr) return errno == EBADF;
  v_.dereg_mr(none);
  return true;
}

bool VerbsFabric::port_up() const {
  ibv_port_attr port;
  return query_port(port) && port.state == IBV_PORT_ACTIVE;
}

Result<Registration> VerbsFabric::register_memory(std::byte* base, uint64_t bytes,
                                                  uint32_t rights) {
  if (base == nullptr || bytes == 0) return Errc::kInvalid;
  if (bytes > limits_.max_registration) return Errc::kTooBig;  // or it would be cut in silence
  ibv_mr* r = v_.reg_mr(domain_, base, bytes, access_of(rights));
  if (r == nullptr) return errno == ENOMEM ? Errc::kNoMemory : Errc::kSystem;
  return Registration{base, bytes, r->lkey, r->rkey, reinterpret_cast<uintptr_t>(base), r};
}

Result<Registration> VerbsFabric::register_dma_buf(int fd, uint64_t offset, std::byte* base,
                                                   uint64_t bytes, uint32_t rights) {
  if (base == nullptr || bytes == 0 || (limits_.capabilities & kFabricGpu) == 0)
    return Errc::kInvalid;
  if (bytes > limits_.max_registration) return Errc::kTooBig;
  const auto address = reinterpret_cast<uintptr_t>(base);
  ibv_mr* r = v_.reg_dmabuf_mr(domain_, offset, bytes, address, fd, access_of(rights));
  if (r == nullptr) return errno == ENOMEM ? Errc::kNoMemory : Errc::kInvalid;
  return Registration{base, bytes, r->lkey, r->rkey, address, r};
}

void VerbsFabric::deregister(const Registration& registration) {
  v_.dereg_mr(static_cast<ibv_mr*>(registration.handle));
}

Result<std::unique_ptr<Endpoint>> VerbsFabric::create_endpoint() {
  if (endpoints_ >= limits_.max_endpoints) return Errc::kFull;
  ibv_qp* pair = make_queue_pair(limits_.max_inline);
  if (pair == nullptr) return errno == ENOMEM ? Errc::kNoMemory : Errc::kSystem;
  uint32_t first = 0;
  if (getrandom(&first, sizeof first, 0) != sizeof first) first = pair->qp_num;
  endpoints_++;
  auto e = std::make_unique<VerbsEndpoint>(*this, pair, first);
  if (e->prepare() != Errc::kOk) return Errc::kSystem;
  return std::unique_ptr<Endpoint>(std::move(e));
}

Fabric::Polled VerbsFabric::poll(std::span<FabricCompletion> completions,
                                 std::span<FabricImmediate> immediates) {
  std::array<ibv_wc, 64> polled;
  Polled n;
  for (;;) {
    const size_t room = std::min(
        {polled.size(), completions.size() - n.completions, immediates.size() - n.immediates});
    if (room == 0) break;
    const int got = ibv_poll_cq(queue_, static_cast<int>(room), polled.data());
    for (int i = 0; i < got; i++) {
      const ibv_wc& w = polled[static_cast<size_t>(i)];
      if (w.wr_id != kReceive) {
        const FabricCode code = code_of(w.status);
        completions[n.completions++] = {w.wr_id, w.qp_num, code};
        if (code > FabricCode::kCanceled) stats_.errors.add(1);
        if (code == FabricCode::kReceiverNotReady) stats_.receiver_not_ready.add(1);
        continue;
      }
      receives_owed_++;
      if (w.status == IBV_WC_SUCCESS && (w.wc_flags & IBV_WC_WITH_IMM) != 0)
        immediates[n.immediates++] = {w.qp_num, be32toh(w.imm_data), w.byte_len};
    }
    if (got < static_cast<int>(room)) break;
  }
  stats_.completions.add(n.completions);
  stats_.immediates.add(n.immediates);
  if (receives_owed_ >= kRefill) give_receives(receives_owed_ - receives_owed_ % kRefill);
  return n;
}

void VerbsFabric::give_receives(uint32_t n) {
  std::array<ibv_recv_wr, kRefill> some;
  while (n >= kRefill) {
    for (size_t i = 0; i < some.size(); i++) {
      some[i] = {};
      some[i].wr_id = kReceive;
      some[i].next = i + 1 < some.size() ? &some[i + 1] : nullptr;
    }
    ibv_recv_wr* bad = nullptr;
    const int wrong = ibv_post_srq_recv(receives_, some.data(), &bad);
    const auto taken = wrong == 0 ? kRefill : static_cast<uint32_t>(bad - some.data());
    receives_owed_ -= taken;
    if (taken < kRefill) return;  // again at the next poll
    n -= kRefill;
  }
}

size_t VerbsFabric::events(std::span<FabricEvent> out) {
  size_t n = 0;
  ibv_async_event e{};
  while (n < out.size() && v_.get_async_event(context_, &e) == 0) {
    switch (e.event_type) {
      case IBV_EVENT_PORT_ACTIVE:
        if (e.element.port_num == config_.port) out[n++] = {FabricEventKind::kPortUp, 0};
        break;
      case IBV_EVENT_PORT_ERR:
        if (e.element.port_num == config_.port) out[n++] = {FabricEventKind::kPortDown, 0};
        break;
      case IBV_EVENT_QP_FATAL:
      case IBV_EVENT_QP_REQ_ERR:
      case IBV_EVENT_QP_ACCESS_ERR:
        out[n++] = {FabricEventKind::kEndpointError, e.element.qp->qp_num};
        break;
      case IBV_EVENT_CQ_ERR:
      case IBV_EVENT_SRQ_ERR:
      case IBV_EVENT_DEVICE_FATAL:
        out[n++] = {FabricEventKind::kDeviceFatal, 0};
        break;
      default:  // that a queue is empty, that addresses changed
        break;
    }
    v_.ack_async_event(&e);
  }
  return n;
}

}  // namespace penstock
