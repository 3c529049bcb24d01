// A receiver's beginning, end, and the lanes that come and go between.
#include <cstring>
#include <new>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "dataplane/client/last_error.h"
#include "dataplane/client/receiver.h"
#include "dataplane/topic/filter.h"

namespace penstock::client {

Result<Receiver*> Receiver::subscribe(Client& client, std::string_view filter,
                                      const Options& options) {
  if (!valid_filter(filter))
    return fail(Errc::kBadTopic,
                "\"%.*s\" is no filter: words separated by dots, none empty, * for one word, # for "
                "any number, at most %u bytes",
                static_cast<int>(std::min<size_t>(filter.size(), kMaxTopicName)), filter.data(),
                kMaxTopicName);
  if (!options.overflow.valid())
    return fail(Errc::kInvalid,
                "overflow policy %u with limits of %llu messages and %llu bytes and a time of "
                "%llu ns: see penstock_subscriber_options for what goes with what",
                static_cast<unsigned>(options.overflow.policy),
                static_cast<unsigned long long>(options.overflow.limit_messages),
                static_cast<unsigned long long>(options.overflow.limit_bytes),
                static_cast<unsigned long long>(options.overflow.block_ns));
  auto* r = new (std::nothrow) Receiver(client, filter);
  if (r == nullptr) return fail(Errc::kNoMemory, "out of memory");
  client.keep();
  client.add(r);
  const Errc e = r->start(options);
  if (e == Errc::kOk) return r;
  r->close();
  return e;
}

Errc Receiver::start(const Options& options) {
  attach::Subscribe ask;
  ask.mode = options.mode;
  ask.overflow = overflow_ = options.overflow;
  ask.path = options.path;
  zero_copy_ = options.path == attach::PathPolicy::kRequireZeroCopy;
  ask.inbox = options.inbox;
  std::memcpy(ask.filter, filter_.data(), filter_.size());
  Packet answer;
  if (const Errc e = client_.ask(ask, attach::Type::kSubscribed, answer); e != Errc::kOk) return e;
  const auto* s = answer.as<attach::Subscribed>();
  if (s == nullptr || answer.fd_count != 1 || s->subscription == 0 ||
      (subscription_ != 0 && subscription_ != s->subscription))
    return client_.broken("Subscribed");
  subscription_ = s->subscription;
  event_ = std::move(answer.fds[0]);
  wake_fd_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event readable{};
  readable.events = EPOLLIN;
  if (!wake_fd_) return fail(Errc::kSystem, "cannot make an epoll instance");
  if (epoll_ctl(wake_fd_.get(), EPOLL_CTL_ADD, event_.get(), &readable) != 0)
    return client_.broken("Subscribed");
  timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer_ || epoll_ctl(wake_fd_.get(), EPOLL_CTL_ADD, timer_.get(), &readable) != 0)
    return fail(Errc::kSystem, "cannot make a timer");
  if (epoll_ctl(wake_fd_.get(), EPOLL_CTL_ADD, client_.socket_fd(), &readable) != 0)
    return fail(Errc::kSystem, "cannot wait for the node's socket");
  if (failed_ != Errc::kOk)
    return fail(failed_, "cannot map a lane that matches %s", filter_.c_str());
  return Errc::kOk;
}

void Receiver::close() {
  let_go();
  if (!lost_held_) release();
  lanes_.clear();
  say_goodbye();
  client_.remove(this);
  Client& client = client_;
  delete this;
  client.let_go();
}

void Receiver::say_goodbye() const {
  if (subscription_ == 0) return;
  attach::Unsubscribe u;
  u.subscription = subscription_;
  client_.post(u);
}

bool Receiver::join(const attach::Join& join, const Packet& packet) {
  nudge();
  auto lane = JoinedLane::open(join, packet, client_.positions(), filter_, overflow_, zero_copy_);
  if (lane.ok()) {
    lanes_.push_back(std::move(*lane));
    armed_ = false;  // it is not
    return true;
  }
  if (lane.error() == Errc::kInvalid || lane.error() == Errc::kDenied) return false;
  // No room to map it. Missing a publisher in silence would be worse than an error.
  failed_ = lane.error();
  settled_ = false;
  attach::Released r;
  r.lane_id = join.lane_id;
  r.slot = join.slot;
  r.generation = join.generation;
  client_.post(r);
  return true;
}

void Receiver::leave(const attach::Leave& leave) {
  nudge();
  for (const auto& lane : lanes_)
    if (lane->is(leave.lane_id, leave.slot, leave.generation)) lane->leave();
}

void Receiver::end(const attach::Ended& ended) {
  nudge();
  settled_ = false;
  ended_ = ended.text;
}

}  // namespace penstock::client
