#include "drivers/verbs/cm_fabric.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "dataplane/base/clock.h"
#include "drivers/verbs/cm_endpoint.h"

namespace penstock {

OrSentence<std::unique_ptr<CmFabric>> CmFabric::open(const CmConfig& config) {
  const auto library = CmLibrary::get();
  if (!library) return sentence(library.error());
  std::unique_ptr<CmFabric> f(new CmFabric(**library, config));
  auto verbs = VerbsFabric::open(config.verbs);
  if (!verbs) return sentence(verbs.error());
  f->verbs_ = std::move(*verbs);
  std::string wrong = f->start();
  if (!wrong.empty()) return sentence(std::move(wrong));
  return f;
}

std::string CmFabric::start() {
  const std::string where = "RDMA device " + config_.verbs.device + ", rdma_cm: ";
  const VerbsFabric::Place& at = verbs_->place();
  if (!at.ethernet) return where + "needs an IP address, and over InfiniBand only a LID is known";
  std::memcpy(place_.ip.data(), at.gid.raw, place_.ip.size());
  channel_ = cm_.create_event_channel();
  if (channel_ == nullptr)
    return where + "cannot be asked (" + std::strerror(errno) + "): modprobe rdma_ucm";
  if (cm_.create_id(channel_, &listener_, nullptr, RDMA_PS_TCP) != 0) {
    listener_ = nullptr;
    return where + std::strerror(errno);
  }
  sockaddr_storage address = cm_socket_address(place_.ip, 0);
  constexpr int kWaiting = 64;  // requests that the kernel keeps until they are looked at
  if (cm_.bind_addr(listener_, reinterpret_cast<sockaddr*>(&address)) != 0 ||
      cm_.listen(listener_, kWaiting) != 0)
    return where + "does not listen at " + text(at.gid) + ": " + std::strerror(errno);
  if (listener_->verbs == nullptr ||
      config_.verbs.device != verbs_->v_.get_device_name(listener_->verbs->device))
    return where + text(at.gid) + " is the address of another device";
  place_.port = ntohs(cm_.get_src_port(listener_));
  both_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event in{};
  in.events = EPOLLIN;
  const int flags = fcntl(channel_->fd, F_GETFL);
  if (flags < 0 || fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) != 0 || !both_ ||
      epoll_ctl(both_.get(), EPOLL_CTL_ADD, channel_->fd, &in) != 0 ||
      epoll_ctl(both_.get(), EPOLL_CTL_ADD, verbs_->event_fd(), &in) != 0)
    return where + std::strerror(errno);
  return {};
}

CmFabric::~CmFabric() {
  if (listener_ != nullptr) cm_.destroy_id(listener_);
  if (channel_ != nullptr) cm_.destroy_event_channel(channel_);
}

Result<std::unique_ptr<Endpoint>> CmFabric::create_endpoint() {
  auto made = verbs_->create_endpoint();
  if (!made.ok()) return made.error();
  std::unique_ptr<VerbsEndpoint> pair(static_cast<VerbsEndpoint*>(made->release()));
  uint64_t token = 0;
  if (getrandom(&token, sizeof token, 0) != sizeof token || token == 0) return Errc::kSystem;
  return std::unique_ptr<Endpoint>(std::make_unique<CmEndpoint>(*this, std::move(pair), token));
}

Fabric::Polled CmFabric::poll(std::span<FabricCompletion> completions,
                              std::span<FabricImmediate> immediates) {
  size_t n = 0;
  if (holding_) {
    const std::unique_lock lock(lock_, std::try_to_lock);
    if (lock) {
      holding_ = false;
      for (CmEndpoint* e : endpoints_) {
        bool all = true;
        n += e->let_go(completions.subspan(n), &all);
        holding_ |= !all;
      }
      verbs_->stats_.completions.add(n);
    }
  }
  Polled polled = verbs_->poll(completions.subspan(n), immediates);
  polled.completions += n;
  return polled;
}

size_t CmFabric::events(std::span<FabricEvent> out) {
  progress();
  return verbs_->events(out);
}

void CmFabric::progress() {
  rdma_cm_event* e = nullptr;
  while (cm_.get_cm_event(channel_, &e) == 0) {
    // Given back before anything is done: who destroys a connection waits for its events.
    const rdma_cm_event event = *e;
    std::array<std::byte, sizeof(CmEndpoint::Greeting)> said{};
    size_t bytes = 0;
    if (event.event == RDMA_CM_EVENT_CONNECT_REQUEST && event.param.conn.private_data != nullptr) {
      bytes = std::min<size_t>(event.param.conn.private_data_len, said.size());
      std::memcpy(said.data(), event.param.conn.private_data, bytes);
    }
    cm_.ack_cm_event(e);
    if (event.event == RDMA_CM_EVENT_CONNECT_REQUEST)
      asked(event.id, {said.data(), bytes});
    else if (event.id->context != nullptr)
      static_cast<CmEndpoint*>(event.id->context)->said(event.id, event.event);
  }
  const uint64_t now = Clock::raw_ns();
  for (CmEndpoint* endpoint : endpoints_)
    endpoint->look_at_clock(now);
}

size_t CmFabric::connecting() const {
  return static_cast<size_t>(
      std::ranges::count_if(endpoints_, [](const CmEndpoint* e) { return e->connecting(); }));
}

// Bytes of a stranger: what is not a greeting of ours, to an endpoint of ours, is refused: by the
// end of its connection.
void CmFabric::asked(rdma_cm_id* id, std::span<const std::byte> greeting) {
  CmEndpoint::Greeting g{};
  if (greeting.size() == sizeof g) std::memcpy(&g, greeting.data(), sizeof g);
  id->context = nullptr;
  for (CmEndpoint* e : endpoints_)
    if (g.magic == CmEndpoint::kMagic && e->token() == g.to && e->asked_by(id, g.from)) return;
  cm_.destroy_id(id);
}

}  // namespace penstock
