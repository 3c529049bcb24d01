// ScriptedPeer: a link and, as its peer, a test that says every frame by hand.
//
//   ScriptedPeer p;
//   p.connect();
//   p.give(FrameType::kPing, ping_body, kHopAckNow);
//   const auto sent = p.take();
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/link/link.h"
#include "dataplane/wire/batch.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/ping.h"

namespace penstock::test {

using Bytes = std::vector<std::byte>;

struct TakenFrame {
  HopHeader hop;
  Bytes body;      // with the payload
  size_t payload;  // bytes of it that were referred to, not copied

  std::span<const std::byte> span() const { return body; }
};

class ScriptedPeer {
 public:
  static constexpr uint64_t kLinkId = 1;
  static constexpr uint64_t kPeerId = 2;
  static constexpr uint32_t kConnection = 0x05000777;  // what the peer wants to be called
  static constexpr uint64_t kEpoch = 0x10002;
  static constexpr uint32_t kFrame = 1472;

  static LinkConfig config() {
    return {.self_id = kLinkId,
            .self_epoch = 3,
            .peer_id = kPeerId,
            .worker = 1,
            .index = 9,
            .max_frame = kFrame,
            .congestion = false};  // what is sent depends on the test alone
  }

  explicit ScriptedPeer(const LinkConfig& c = config()) : link(c) {}

  Link link;
  uint64_t now = 1'000'000'000;
  uint64_t packet = 0;  // the last number that the peer used

  // What the link sends now; checked to be sealed, and to carry growing numbers.
  std::vector<TakenFrame> take(size_t room = 32) {
    std::vector<Bytes> buffers(room, Bytes(kFrame));
    std::vector<TxFrame> frames(room);
    for (size_t i = 0; i < room; i++)
      frames[i] = {.data = buffers[i].data(), .room = kFrame};
    const size_t n = link.transmit(frames, now);
    std::vector<TakenFrame> out;
    for (size_t i = 0; i < n; i++) {
      const TxFrame& f = frames[i];
      ok = ok && check({f.data, f.len}, {f.payload, f.payload_len});
      TakenFrame t{*parse_hop({f.data, f.len}), {}, f.payload_len};
      t.body.assign(f.data + kHopHeaderSize, f.data + f.len);
      t.body.insert(t.body.end(), f.payload, f.payload + f.payload_len);
      out.push_back(std::move(t));
    }
    return out;
  }
  // Of these, the frames of one type.
  std::vector<TakenFrame> take(FrameType type, size_t room = 32) {
    std::vector<TakenFrame> out;
    for (TakenFrame& f : take(room))
      if (f.hop.type == type) out.push_back(std::move(f));
    return out;
  }
  bool ok = true;  // every frame taken was sealed

  Drop give(FrameType type, std::span<const std::byte> body, uint8_t flags = 0) {
    return give({.type = type,
                 .flags = flags,
                 .incarnation = static_cast<uint16_t>(epoch),
                 .connection = type == FrameType::kHello ? 0 : link.connection(),
                 .packet = ++packet},
                body);
  }
  Drop give(const HopHeader& hop, std::span<const std::byte> body,
            std::span<const std::byte> payload = {}) {
    Bytes frame(kHopHeaderSize + body.size());
    write_hop(hop, frame);
    if (!body.empty()) std::memcpy(frame.data() + kHopHeaderSize, body.data(), body.size());
    seal(frame, payload);
    return give_raw(frame, payload);
  }
  Drop give_raw(std::span<const std::byte> frame, std::span<const std::byte> payload = {}) {
    return link.on_frame(frame.data(), static_cast<uint32_t>(frame.size()), payload.data(),
                         static_cast<uint32_t>(payload.size()), now, note);
  }
  FrameNote note;  // of the frames given

  Hello hello() const {
    return {.max_frame = kFrame,
            .node = link.config().peer_id,
            .epoch = epoch,
            .connection = connection,
            .nonce = nonce,
            .session = session,
            .offer = 1};
  }
  Drop give_hello(const Hello& h) {
    Bytes body(kHelloFrameSize - kHopHeaderSize);
    write_hello(h, body);
    return give(FrameType::kHello, body);
  }
  Drop give_hello_ack(const Hello& h) {
    Bytes body(kHelloSize);
    write_hello_ack(h, body);
    return give(FrameType::kHelloAck, body);
  }
  Drop give_retry(const Retry& r) {
    std::array<std::byte, kRetrySize> body;
    write_retry(r, body);
    return give(FrameType::kRetry, body);
  }
  Drop give_close(LinkClose reason) {
    std::array<std::byte, kCloseSize> body;
    write_close({reason, 0}, body);
    return give(FrameType::kClose, body);
  }
  Drop give_ping(uint8_t flags = 0) {
    std::array<std::byte, kPingSize> body;
    write_ping(77, body);
    return give(FrameType::kPing, body, flags);
  }
  // Packets [from, to] of the link came.
  Drop give_ack(uint64_t from, uint64_t to, const std::vector<Credit>& credits = {}) {
    Ack a{.largest = to};
    for (uint64_t p = from; p < to; p++)
      a.bitmap[(to - 1 - p) / 64] |= uint64_t{1} << ((to - 1 - p) % 64);
    return give_ack(a, credits);
  }
  Drop give_ack(const Ack& a, const std::vector<Credit>& credits = {}) {
    Bytes body(kFrame);
    body.resize(write_ack(a, credits, body));
    return give(FrameType::kAck, body);
  }
  // A BATCH of the texts, from `position` on.
  Drop give_batch(const BatchHeader& h, const std::vector<std::string_view>& texts,
                  uint8_t flags = 0) {
    Bytes body(kFrame - kHopHeaderSize);
    BatchWriter w(h, body);
    uint64_t source = h.source;
    for (const auto t : texts) {
      w.append({.bytes = reinterpret_cast<const std::byte*>(t.data()),
                .len = static_cast<uint32_t>(t.size()),
                .source = source++});
    }
    body.resize(w.size());
    return give(FrameType::kBatch, body, flags);
  }
  Drop give_piece(const FragmentHeader& h, std::span<const std::byte> piece) {
    Bytes body(kFragmentHeaderSize);
    write_fragment(h, body);
    body.insert(body.end(), piece.begin(), piece.end());
    return give(FrameType::kFragment, body);
  }

  // Up, with everything answered that belongs to it.
  void connect() {
    link.start(now);
    const auto hellos = take(FrameType::kHello);
    Hello h = hello();
    h.nonce = parse_hello(hellos.at(0).span())->nonce;
    give_hello_ack(h);
    for (auto pings = take(FrameType::kPing); !pings.empty(); pings = take(FrameType::kPing)) {
      now += 1000;
      for (const auto& f : pings)
        give(FrameType::kPong, f.span().first(kPingSize));
    }
    events();
  }

  std::vector<LinkEvent> events() {
    std::vector<LinkEvent> out;
    LinkEvent e;
    while (link.next_event(e)) {
      if (e.kind == LinkEvent::kUp) began = e.session;
      out.push_back(e);
    }
    return out;
  }

  uint64_t began = 0;  // the session of which the last kUp told

  uint64_t drops(Drop d) const { return link.stats().drops.read(d); }

  uint64_t epoch = kEpoch;
  uint32_t connection = kConnection;
  uint64_t session = 0;  // that the peer says it holds
  uint32_t nonce = 100;
};

inline std::string text_of(const Message& m) {
  return {reinterpret_cast<const char*>(m.data), static_cast<size_t>(m.len)};
}

}  // namespace penstock::test
