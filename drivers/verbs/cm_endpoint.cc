#include "drivers/verbs/cm_endpoint.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

#include "dataplane/base/clock.h"

namespace penstock {
namespace {

constexpr uint64_t kAgainNs = 100'000'000;  // after it was told that there is no way to the peer
constexpr int kRouteMs = 500;
constexpr uint8_t kMostReads = 16;  // gets of a queue pair on their way at once

struct Wire {
  uint32_t magic;
  uint32_t number;
  uint64_t token;
  std::array<uint8_t, 16> ip;
  uint16_t port;
  uint8_t reserved[6];
};
static_assert(sizeof(Wire) <= sizeof(EndpointAddress));

Wire wire_of(const EndpointAddress& address) {
  Wire w{};
  std::memcpy(&w, address.data(), sizeof w);
  return w;
}

}  // namespace

sockaddr_storage cm_socket_address(const std::array<uint8_t, 16>& ip, uint16_t port) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  sockaddr_storage out{};
  if (std::memcmp(ip.data(), kMapped, sizeof kMapped) == 0) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip.data() + 12, 4);
    std::memcpy(&out, &v4, sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, ip.data(), 16);
    std::memcpy(&out, &v6, sizeof v6);
  }
  return out;
}

CmEndpoint::CmEndpoint(CmFabric& fabric, std::unique_ptr<VerbsEndpoint> pair, uint64_t token)
    : fabric_(fabric),
      pair_(std::move(pair)),
      token_(token),
      held_(fabric.limits().send_depth, fabric.limits().max_inline) {
  const std::lock_guard lock(fabric_.lock_);
  fabric_.endpoints_.push_back(this);
}

CmEndpoint::~CmEndpoint() {
  {
    const std::lock_guard lock(fabric_.lock_);
    std::erase(fabric_.endpoints_, this);
  }
  drop_connection();
}

EndpointAddress CmEndpoint::address() const {
  Wire w{};
  w.magic = CmEndpoint::kMagic;
  w.number = number();
  w.token = token_;
  w.ip = fabric_.place_.ip;
  w.port = fabric_.place_.port;
  EndpointAddress out{};
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Errc CmEndpoint::connect(const EndpointAddress& peer) {
  const Wire w = wire_of(peer);
  if (w.magic != kMagic || w.port == 0 || w.token == 0 || w.token == token_) return Errc::kInvalid;
  if (way_ != Way::kNew) return Errc::kBusy;
  peer_ = w.token;
  ends_ns_ = Clock::raw_ns() + uint64_t{fabric_.config_.connect_ms} * 1'000'000;
  set(Way::kConnecting);
  if (token_ < peer_) {
    drop_connection();  // who asks is not asked
    to_ = {w.ip, w.port};
    if (begin()) return Errc::kOk;
    fail(FabricCode::kDevice);
    return Errc::kSystem;
  }
  if (id_ == nullptr) return Errc::kOk;  // it will ask
  if (asker_ != peer_)
    drop_connection();
  else if (!answer())
    fail(FabricCode::kTimeout);
  return Errc::kOk;
}

// Asks for the way to the peer. The kernel looks again for an address that it did not find only
// when the time it was given is over: so it gets little, and is asked again.
bool CmEndpoint::begin() {
  constexpr int kResolveMs = 500;
  sockaddr_storage from = cm_socket_address(fabric_.place_.ip, 0);
  sockaddr_storage to = cm_socket_address(to_.ip, to_.port);
  uint8_t tos = fabric_.config_.verbs.traffic_class;
  const CmLibrary& cm = fabric_.cm_;
  if (cm.create_id(fabric_.channel_, &id_, this, RDMA_PS_TCP) != 0) {
    id_ = nullptr;
    return false;
  }
  if (cm.set_option(id_, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof tos) == 0 &&
      cm.resolve_addr(id_, reinterpret_cast<sockaddr*>(&from), reinterpret_cast<sockaddr*>(&to),
                      kResolveMs) == 0)
    return true;
  drop_connection();
  return false;
}

bool CmEndpoint::asked_by(rdma_cm_id* id, uint64_t from) {
  if (id_ != nullptr || way_ == Way::kReady || way_ == Way::kFailed || from >= token_) return false;
  if (way_ == Way::kConnecting && from != peer_) return false;
  id_ = id;
  id_->context = this;
  asker_ = from;
  if (way_ == Way::kConnecting && !answer()) fail(FabricCode::kTimeout);
  return true;
}

rdma_conn_param CmEndpoint::terms(const Greeting& greeting) const {
  const ibv_device_attr& device = fabric_.verbs_->device_;
  const auto reads = static_cast<uint8_t>(
      std::min<int>({device.max_qp_rd_atom, device.max_qp_init_rd_atom, kMostReads}));
  rdma_conn_param p{};
  p.private_data = &greeting;
  p.private_data_len = sizeof greeting;
  p.responder_resources = reads;
  p.initiator_depth = reads;
  p.retry_count = fabric_.config_.verbs.retries;
  p.rnr_retry_count = 0;  // as in VerbsEndpoint::connect
  p.srq = 1;
  p.qp_num = pair_->number();
  return p;
}

Errc CmEndpoint::ask() {
  const Greeting greeting{kMagic, 0, token_, peer_};
  rdma_conn_param p = terms(greeting);
  return fabric_.cm_.connect(id_, &p) == 0 ? Errc::kOk : Errc::kSystem;
}

// Ready when the peer has heard it: until then what it is sent would be lost.
bool CmEndpoint::answer() {
  const Greeting greeting{kMagic, 0, token_, peer_};
  rdma_conn_param p = terms(greeting);
  return make_ready() && fabric_.cm_.accept(id_, &p) == 0;
}

// What the connection manager agreed on, with our own patience.
bool CmEndpoint::make_ready() {
  for (const ibv_qp_state state : {IBV_QPS_RTR, IBV_QPS_RTS}) {
    ibv_qp_attr a{};
    a.qp_state = state;
    int mask = 0;
    if (fabric_.cm_.init_qp_attr(id_, &a, &mask) != 0) return false;
    a.min_rnr_timer = 12;
    a.timeout = fabric_.config_.verbs.timeout;
    a.retry_cnt = fabric_.config_.verbs.retries;
    a.rnr_retry = 0;
    if (!pair_->become(a, mask)) return false;
  }
  return true;
}

void CmEndpoint::said(rdma_cm_id* id, rdma_cm_event_type what) {
  if (id != id_) return;
  const CmLibrary& cm = fabric_.cm_;
  bool ok = true;
  switch (what) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      ok = cm.resolve_route(id_, kRouteMs) == 0;
      break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      ok = ask() == Errc::kOk;
      break;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
      ok = make_ready() && cm.establish(id_) == 0;
      if (ok && way_ == Way::kConnecting) set(Way::kReady);
      break;
    case RDMA_CM_EVENT_ESTABLISHED:
      if (way_ == Way::kConnecting) set(Way::kReady);
      break;
    case RDMA_CM_EVENT_DISCONNECTED:  // its queue pair is gone: puts say so by their timeout
    case RDMA_CM_EVENT_TIMEWAIT_EXIT:
    case RDMA_CM_EVENT_ADDR_CHANGE:
      break;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
      if (asker_ == 0 && way_ == Way::kConnecting) {
        drop_connection();
        again_ns_ = Clock::raw_ns() + kAgainNs;
        return;
      }
      ok = false;
      break;
    default:  // refused, the device gone
      ok = false;
  }
  if (ok) return;
  if (way_ == Way::kNew)
    drop_connection();  // the peer gave up before connect() was called: it may ask again
  else if (way_ == Way::kConnecting)
    fail(FabricCode::kTimeout);
}

void CmEndpoint::look_at_clock(uint64_t now_ns) {
  if (way_ != Way::kConnecting) return;
  if (now_ns > ends_ns_) return fail(FabricCode::kTimeout);
  if (again_ns_ == 0 || now_ns < again_ns_) return;
  again_ns_ = begin() ? 0 : now_ns + kAgainNs;
}

void CmEndpoint::set(Way way, FabricCode why) {
  const std::lock_guard lock(fabric_.lock_);
  way_ = way;
  why_ = why;
}

// To a peer that waits for an answer this says no. Refusing first what was accepted already would
// keep the kernel (6.1) here for all its retries, more than a minute.
void CmEndpoint::drop_connection() {
  if (id_ == nullptr) return;
  fabric_.cm_.destroy_id(id_);
  id_ = nullptr;
  asker_ = 0;
}

void CmEndpoint::fail(FabricCode why) {
  drop_connection();
  pair_->stop();
  set(Way::kFailed, why);
}

Endpoint::State CmEndpoint::state() const {
  if (way_ == Way::kFailed) return State::kError;
  return way_ == Way::kReady ? pair_->state() : State::kNew;
}

void CmEndpoint::stop() {
  if (way_ == Way::kReady)
    pair_->stop();
  else if (way_ != Way::kFailed)
    fail(FabricCode::kCanceled);
}

size_t CmEndpoint::post(std::span<const FabricRequest> in) {
  if (open_) return pair_->post(in);
  {
    const std::unique_lock lock(fabric_.lock_, std::try_to_lock);
    if (!lock || way_ == Way::kNew) return 0;
    open_ = way_ == Way::kReady && held_.empty();
  }
  if (open_) return pair_->post(in);
  const size_t n = held_.hold(in);
  if (n == 0) return 0;
  fabric_.holding_ = true;
  fabric_.verbs_->stats_.doorbells.add(1);
  fabric_.verbs_->stats_.requests.add(n);
  return n;
}

size_t CmEndpoint::let_go(std::span<FabricCompletion> out, bool* all) {
  size_t n = 0;
  while (way_ == Way::kReady && !held_.empty()) {
    const size_t some = std::min(held_.waiting().size(), VerbsEndpoint::kBurst);
    const size_t taken = pair_->post_some(held_.waiting().first(some));
    held_.gone(taken);
    if (taken < some) break;
  }
  while (way_ == Way::kFailed && !held_.empty() && n < out.size()) {
    const FabricCode code = told_ ? FabricCode::kCanceled : why_;
    out[n++] = {held_.waiting().front().id, number(), code};
    told_ = true;
    held_.gone(1);
    if (code > FabricCode::kCanceled) fabric_.verbs_->stats_.errors.add(1);
  }
  if (way_ == Way::kReady && held_.empty()) open_ = true;
  *all = held_.empty();
  return n;
}

}  // namespace penstock
