#include "dataplane/net_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/hello.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

bool same_net(const IpAddress& a, const IpAddress& b, uint32_t bits) {
  if (a.family != b.family) return false;
  const uint32_t whole = std::min<uint32_t>(bits / 8, 16);
  if (std::memcmp(a.bytes.data(), b.bytes.data(), whole) != 0) return false;
  const uint32_t rest = bits % 8;
  return rest == 0 || whole == 16 || ((a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest)) == 0;
}

// What of a HELLO its cookie is good for: its sender, path and nonce.
std::array<std::byte, 16> asked_by(const Hello& h) {
  std::array<std::byte, 16> out{};
  store_le(out.data(), h.node);
  store_le(out.data() + 8, h.path);
  store_le(out.data() + 12, h.nonce);
  return out;
}

}  // namespace

NetPort::NetPort(Port& port, const Config& config)
    : port_(port),
      config_(config),
      cookies_(config.cookie_seed != 0 ? CookieJar(config.cookie_seed) : CookieJar()),
      resolver_(config.station),
      inflow_(config.bytes_per_us),
      by_index_(kLinks) {}

NetPort::~NetPort() {
  port_.release({spare_.data(), spares_});
  port_.release({out_.data() + out_at_, out_end_ - out_at_});
}

Errc NetPort::add_neighbour(const IpAddress& ip, const MacAddress& mac) {
  return resolver_.neighbours().add_static(ip, mac);
}

void NetPort::add_sibling(uint32_t worker, NetPort& sibling) {
  siblings_[worker].port = &sibling;
  sibling.siblings_[config_.worker].in = std::make_unique<Handoff>();
}

Errc NetPort::add_link(LinkPath* path, uint64_t now) {
  const uint32_t index = path->config.link.index;
  if (index >= kLinks) return Errc::kInvalid;
  if (by_index_[index] != nullptr) return Errc::kBusy;
  const IpAddress& us = path->config.remote.is_v4() ? config_.station.v4 : config_.station.v6;
  path->encap = Encap({.from_mac = config_.station.mac,
                       .to_mac = {},
                       .from = us,
                       .to = path->config.remote,
                       .from_port = path->config.local_udp,
                       .to_port = path->config.remote_udp},
                      {.ip = port_.info().tx_ip_checksum, .udp = port_.info().tx_udp_checksum});
  const bool near = config_.gateway.family == IpAddress::Family::kNone ||
                    same_net(us, path->config.remote, config_.prefix_bits);
  path->next_hop = near ? path->config.remote : config_.gateway;
  by_index_[index] = path;
  links_.push_back(path);
  peers_.add(&path->link);
  resolve(*path, now);
  if (config_.bytes_per_us != 0) path->link.set_inflow(&inflow_);
  path->link.start(now);
  return Errc::kOk;
}

void NetPort::remove_link(LinkPath* path) {
  if (std::erase(links_, path) == 0) return;  // it was refused, and its index is another's
  peers_.remove(&path->link);
  by_index_[path->config.link.index] = nullptr;
  const bool used = std::any_of(links_.begin(), links_.end(),
                                [&](const LinkPath* p) { return p->next_hop == path->next_hop; });
  if (!used) resolver_.neighbours().forget(path->next_hop);
}

uint32_t NetPort::receive(uint64_t now) {
  std::array<Frame, kBurst> in;
  const size_t n = port_.rx_burst(in);
  waited_ns_ = now - std::min(now, std::exchange(looked_at_, now));
  size_t keep = 0;
  for (size_t i = 0; i < n; i++) {
    if (i + 1 < n) __builtin_prefetch(in[i + 1].data);
    if (take(in[i], now)) in[keep++] = in[i];
  }
  port_.release({in.data(), keep});
  return static_cast<uint32_t>(n) + receive_handoffs(now);
}

uint32_t NetPort::receive_handoffs(uint64_t now) {
  uint32_t n = 0;
  for (Sibling& s : std::span(siblings_).first(config_.workers)) {
    Frame f;
    while (s.in != nullptr && n < kBurst && s.in->pop({&f, 1}) == 1) {
      if (take(f, now)) port_.release({&f, 1});
      n++;
    }
  }
  return n;
}

bool NetPort::take(const Frame& f, uint64_t now) {
  if ((f.flags & kRxChecksumBad) != 0) {
    drops_.add(Drop::kBadChecksum);
    return true;
  }
  const Datagram d = decap({f.data, f.len}, {f.payload, f.payload_len}, config_.station,
                           config_.udp_port, (f.flags & kRxChecksumGood) != 0);
  switch (d.arrival) {
    case Arrival::kUdp:
      return dispatch(f, d, now);
    case Arrival::kArp:
    case Arrival::kNdp:
      answer({f.data, f.len}, now);
      return true;
    case Arrival::kForeign:
      drops_.add(Drop::kForeign);
      return true;
    case Arrival::kFragment:
    case Arrival::kMalformed:
      drops_.add(Drop::kBadFrame);
      return true;
    case Arrival::kChecksum:
      drops_.add(Drop::kBadChecksum);
      return true;
  }
  return true;
}

bool NetPort::dispatch(const Frame& frame, const Datagram& d, uint64_t now) {
  if (d.head.size() < kHopHeaderSize) {
    drops_.add(Drop::kBadFrame);
    return true;
  }
  const auto connection = load_le<uint32_t>(d.head.data() + 4);
  if (connection == 0) return take_hello(frame, d, now);
  if (connection_worker(connection) != config_.worker)
    return !hand_over(connection_worker(connection), frame);
  give(by_index_[Link::index_of(connection)], d, now);
  return true;
}

void NetPort::give(LinkPath* path, const Datagram& d, uint64_t now) {
  if (path == nullptr) {
    drops_.add(wire_version(d.head) == kWireVersion ? Drop::kUnknownPeer : Drop::kBadVersion);
    return;
  }
  if (d.from() != path->config.remote) {  // whatever it says: it is not the peer's
    drops_.add(Drop::kForeign);
    return;
  }
  path->link.on_frame(d.head.data(), static_cast<uint32_t>(d.head.size()), d.tail.data(),
                      static_cast<uint32_t>(d.tail.size()), now,
                      {.waited_ns = waited_ns_, .congested = d.congested});
  collect(*path);
}

// A HELLO names its sender and the path, and a NIC with several queues cannot know whose it is. It
// reaches the link when it comes from where that peer is, and whoever sent it has shown that it
// gets what is sent there. The link checks the rest.
bool NetPort::take_hello(const Frame& frame, const Datagram& d, uint64_t now) {
  const auto h = parse_hello(d.head.subspan(kHopHeaderSize));
  if (!h) {
    drops_.add(Drop::kBadFrame);
    return true;
  }
  if (h->path % config_.workers != config_.worker)
    return !hand_over(h->path % config_.workers, frame);
  LinkPath* path = nullptr;
  for (LinkPath* p : links_)
    if (p->config.link.peer_id == h->node && p->config.link.path == h->path) path = p;
  if (path != nullptr && d.from() == path->config.remote && h->protocol == kProtocol &&
      !cookies_.good(h->cookie, d.from(), 0, asked_by(*h), now)) {
    drops_.add(Drop::kNoCookie);
    ask_for_cookie(*path, d, *h, now);
    return true;
  }
  give(path, d, now);
  return true;
}

// Smaller than what asked for it, and only so often: who forges addresses gains nothing by us.
void NetPort::ask_for_cookie(LinkPath& path, const Datagram& d, const Hello& h, uint64_t now) {
  constexpr uint64_t kRetryNs = 100'000;
  if (now < path.retry_at || !path.resolved || h.connection == 0) return;
  path.retry_at = now + kRetryNs;
  std::array<std::byte, Encap::kMaxSize + kHopHeaderSize + kRetrySize> frame;
  const std::span all(frame.data(), path.encap.size() + kHopHeaderSize + kRetrySize);
  const auto hop = all.subspan(path.encap.size());
  // Of any port: who is not answered calls again from another.
  write_retry({h.nonce, cookies_.bake(d.from(), 0, asked_by(h), now)}, hop.subspan(kHopHeaderSize));
  write_hop({.type = FrameType::kRetry,
             .incarnation = static_cast<uint16_t>(path.config.link.self_epoch),
             .connection = h.connection,
             .timestamp = static_cast<uint32_t>(now >> kTickShift)},
            hop);
  seal(hop, {});
  // What comes back by one port may all vanish, and the path's own may be the only one let through.
  const uint32_t turn = retries_++;
  path.encap.write(all, {}, turn % 2 == 0 ? uint16_t{0} : static_cast<uint16_t>(turn));
  Frame* f = send_raw(all);
  if (f != nullptr) set_offloads(*f, path);
}

// What the device fills in of the headers that the path's Encap has written.
void NetPort::set_offloads(Frame& f, const LinkPath& path) const {
  const PortInfo& info = port_.info();
  f.flags = (info.tx_udp_checksum ? kTxUdpChecksum : 0u) |
            (info.tx_ip_checksum && path.config.remote.is_v4() ? kTxIpChecksum : 0u);
  f.l2_len = path.encap.l2_len();
  f.l3_len = path.encap.l3_len();
}

bool NetPort::hand_over(uint32_t worker, const Frame& frame) {
  NetPort* to = worker < siblings_.size() ? siblings_[worker].port : nullptr;
  if (to == nullptr) {
    drops_.add(Drop::kUnknownPeer);
    return false;
  }
  if (to->siblings_[config_.worker].in->push({&frame, 1}) == 1) return true;
  drops_.add(Drop::kNoBuffer);
  return false;
}

void NetPort::answer(std::span<const std::byte> frame, uint64_t now) {
  std::array<std::byte, Resolver::kMaxFrame> reply;
  const size_t n = resolver_.receive(frame, now, reply);
  if (n != 0) send_raw({reply.data(), n});
}

void NetPort::ask_neighbours(uint64_t now) {
  if (resolver_.neighbours().next_due() <= now) {
    std::array<std::byte, Resolver::kMaxFrame> question;
    while (const size_t n = resolver_.poll(now, question))
      send_raw({question.data(), n});
  }
  if (resolver_.changes() == seen_changes_) return;
  seen_changes_ = resolver_.changes();
  for (LinkPath* p : links_)
    resolve(*p, now);
}

void NetPort::resolve(LinkPath& path, uint64_t now) {
  if (const MacAddress* mac = resolver_.neighbours().find(path.next_hop)) {
    path.encap.set_next_hop(*mac);
    path.resolved = true;
    return;
  }
  (void)resolver_.neighbours().want(path.next_hop, now);  // full: the link stays unresolved
}

// Rare and small: takes a place in the burst, or is lost and asked for again (null).
Frame* NetPort::send_raw(std::span<const std::byte> frame) {
  Frame f;
  if (out_end_ == kBurst || port_.tx_alloc({&f, 1}) == 0) {
    drops_.add(Drop::kNoBuffer);
    return nullptr;
  }
  std::memcpy(f.data, frame.data(), frame.size());
  f.len = static_cast<uint32_t>(frame.size());
  out_[out_end_] = f;
  return &out_[out_end_++];
}

// True when nothing waits any more.
bool NetPort::flush() {
  if (out_at_ == out_end_) return true;
  out_at_ += port_.tx_burst({out_.data() + out_at_, out_end_ - out_at_});
  if (out_at_ != out_end_) return false;
  out_at_ = out_end_ = 0;
  return true;
}

// A port that is down takes nothing: what is asked of a link then would only grow old in here. Its
// timers go on, so that a peer behind it is missed in time.
uint32_t NetPort::transmit(uint64_t now) {
  if (std::exchange(untold_, false))
    for (LinkPath* p : links_)
      collect(*p);
  if (!port_.link_up()) {
    for (LinkPath* p : links_) {
      (void)p->link.transmit({}, now);
      collect(*p);
    }
    return 0;
  }
  ask_neighbours(now);
  if (!flush()) return 0;
  uint32_t sent = 0;
  const size_t n = links_.size();
  for (size_t i = 0; i < n; i++) {
    LinkPath& path = *links_[(turn_ + i) % n];
    if (!path.link.has_work(now)) continue;
    if (path.resolved) sent += send_link(path, now);
    collect(path);
    if (!flush()) {
      turn_ = (turn_ + i) % n;  // it goes first next time
      return sent;
    }
  }
  if (n != 0) turn_ = (turn_ + 1) % n;
  return sent;
}

// One burst of a link's frames: headers in front, payload by reference. A few first: most turns of
// a link have one frame, and to lay out room for a burst takes as long as that.
uint32_t NetPort::send_link(LinkPath& path, uint64_t now) {
  constexpr size_t kFew = 4;
  if (spares_ < kBurst) spares_ += port_.tx_alloc({spare_.data() + spares_, kBurst - spares_});
  const size_t n = send_frames(path, kFew, now);
  return static_cast<uint32_t>(n < kFew ? n : n + send_frames(path, kBurst, now));
}

size_t NetPort::send_frames(LinkPath& path, size_t most, uint64_t now) {
  const size_t headers = path.encap.size();
  const size_t room = std::min({most, spares_, kBurst - out_end_});
  for (size_t i = 0; i < room; i++) {
    const Frame& f = spare_[spares_ - 1 - i];
    tx_[i] = {.data = f.data + headers, .room = f.room - static_cast<uint32_t>(headers)};
  }
  const size_t n = path.link.transmit({tx_.data(), room}, now);
  for (size_t i = 0; i < n; i++) {
    Frame f = spare_[--spares_];
    f.len = static_cast<uint32_t>(headers) + tx_[i].len;
    f.payload = tx_[i].payload;
    f.payload_len = tx_[i].payload_len;
    f.region = static_cast<Region*>(tx_[i].region);
    set_offloads(f, path);
    path.encap.write({f.data, f.len}, {f.payload, f.payload_len}, tx_[i].source_port);
    out_[out_end_++] = f;
  }
  return n;
}

// None is lost. While control is behind they stay in their link, which then takes no new session.
void NetPort::collect(LinkPath& path) {
  LinkNotice notice{.path = &path, .event = {}};
  while (path.link.has_event()) {
    if (!notices_.has_room()) {
      untold_ = true;
      return;
    }
    path.link.next_event(notice.event);
    notices_.push({&notice, 1});
    noticed_ = true;
  }
}

uint64_t NetPort::next_deadline(uint64_t now) const {
  if (!port_.link_up()) return now + kDownNs;
  uint64_t at = resolver_.neighbours().next_due();
  for (const LinkPath* p : links_)
    if (p->resolved) at = std::min(at, p->link.next_deadline());
  return at;
}

}  // namespace penstock
