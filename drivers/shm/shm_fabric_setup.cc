// What control does for a ShmFabric: files, connections, who has gone.
#include <algorithm>
#include <array>
#include <cassert>
#include <fcntl.h>
#include <new>
#include <sys/epoll.h>
#include <sys/random.h>

#include "drivers/shm/shm_fabric.h"

namespace penstock {

Result<std::unique_ptr<ShmFabric>> ShmFabric::open(const ShmFabricConfig& config) {
  if (config.send_depth == 0 || config.receive_depth == 0 || config.receive_depth > 1u << 24)
    return Errc::kInvalid;
  std::unique_ptr<ShmFabric> f(new ShmFabric(config));
  if (const Errc e = f->start(); e != Errc::kOk) return e;
  return f;
}

Errc ShmFabric::start() {
  if (getrandom(&device_, sizeof device_, 0) != static_cast<ssize_t>(sizeof device_))
    return Errc::kSystem;
  auto file = SealedMemory::create("penstock-shm-table", sizeof(ShmTable));
  if (!file.ok()) return file.error();
  table_file_ = std::move(*file);
  auto map = table_file_.map(Access::kReadWrite);
  if (!map.ok()) return map.error();
  table_map_ = std::move(*map);
  table_ = new (table_map_.data()) ShmTable;
  table_->device = device_;
  if (const Errc e = table_file_.seal_writes(); e != Errc::kOk) return e;
  auto to_read = table_file_.read_only_fd();
  if (!to_read.ok()) return to_read.error();
  table_to_read_ = std::move(*to_read);
  auto listener = shm_listen(device_);
  if (!listener.ok()) return listener.error();
  listener_ = std::move(*listener);
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return Errc::kSystem;
  return watch(listener_.get());
}

Errc ShmFabric::watch(int fd) {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLRDHUP;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0 ? Errc::kOk : Errc::kSystem;
}

Errc ShmFabric::add_memory(int fd, std::byte* base, uint64_t bytes, Access access) {
  if (base == nullptr || bytes == 0) return Errc::kInvalid;
  const auto free = std::ranges::find(segments_, nullptr, &Segment::base);
  if (free == segments_.end()) return Errc::kFull;
  Fd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return Errc::kSystem;
  *free = {base, bytes, access, std::move(own), false};
  return Errc::kOk;
}

void ShmFabric::forget_memory(const std::byte* base) {
  const auto found = std::ranges::find(segments_, base, &Segment::base);
  if (found == segments_.end()) return;
  *found = Segment();
  tell_all();
}

void ShmFabric::tell_all() {
  for (ShmWayIn& way : ways_in_)
    if (way.state() == ShmWayIn::State::kLive) tell_of_segments(way);
}

// A peer that reads so slowly that its socket is full has gone as far as this side is concerned.
void ShmFabric::tell_of_segments(ShmWayIn& way) {
  for (uint32_t i = 0; i < kShmSegments; i++) {
    const Segment& s = segments_[i];
    if (s.shared == way.told[i]) continue;
    ShmMessage m;
    m.word = s.shared ? ShmWord::kSegment : ShmWord::kSegmentGone;
    m.number = i;
    m.bytes = s.bytes;
    m.writable = s.access == Access::kReadWrite ? 1 : 0;
    if (shm_send(way.socket(), m, s.shared ? s.file.get() : -1) != Errc::kOk) {
      way.refuse();
      return;
    }
    way.told[i] = s.shared;
  }
}

Result<ShmWayOut*> ShmFabric::way_to(uint64_t device) {
  for (const auto& w : ways_out_)
    if (w->device() == device && w->state() != ShmWayOut::State::kDead) return w.get();
  auto socket = shm_connect(device);
  if (!socket.ok()) return socket.error();
  if (const Errc e = watch(socket->get()); e != Errc::kOk) return e;
  ways_out_.push_back(std::make_unique<ShmWayOut>(device, std::move(*socket)));
  return ways_out_.back().get();
}

void ShmFabric::let_in() {
  for (;;) {
    auto socket = shm_accept(listener_.get());
    if (socket.error() == Errc::kWouldBlock) return;
    if (!socket.ok()) continue;
    const auto free = std::ranges::find(ways_in_, ShmWayIn::State::kFree, &ShmWayIn::state);
    if (free == ways_in_.end()) continue;  // hung up: its requests end in a timeout
    if (watch(socket->get()) != Errc::kOk) continue;
    if (free->begin(std::move(*socket), table_to_read_.get(), table_file_.bytes(),
                    config_.receive_depth) == Errc::kOk)
      tell_of_segments(*free);
  }
}

void ShmFabric::serve() {
  for (ShmWayIn& way : ways_in_)
    if (way.state() == ShmWayIn::State::kDrained) way.clear();
  std::array<epoll_event, 1> any;
  if (epoll_wait(epoll_.get(), any.data(), static_cast<int>(any.size()), 0) <= 0) return;
  let_in();
  for (const auto& w : ways_out_)
    w->serve(visit_);
  // Nothing is said on these but that the other process has ended.
  for (ShmWayIn& way : ways_in_) {
    const ShmWayIn::State state = way.state();
    if (state != ShmWayIn::State::kLive && state != ShmWayIn::State::kRefused) continue;
    if (shm_hung_up(way.socket())) {
      way.end();
    } else if (state == ShmWayIn::State::kRefused || shm_speaks(way.socket())) {
      way.refuse();
    }
  }
}

}  // namespace penstock
