// Every message of the attach protocol and of the peer protocol, for those who play a client or a
// node that says anything. A type of message that has a name, but no message here, does not
// compile: so what is new is fuzzed, and said by the hostile tests, from its first day.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "control/node/peer_protocol.h"
#include "dataplane/client/attach_protocol.h"

namespace penstock::test {

constexpr attach::Type type_in(const attach::Header& header) {
  return header.type;
}
template <class M>
constexpr auto type_in(const M& message) {
  if constexpr (requires { message.header; })
    return type_in(message.header);
  else
    return message.type;
}

template <class... M>
struct Messages {
  // No gaps between fields: what lay there would go to the other side.
  static_assert((std::has_unique_object_representations_v<M> && ...));
  static constexpr size_t kCount = sizeof...(M);
  template <class Type>
  static constexpr bool has(Type t) {
    return ((type_in(M{}) == t) || ...);
  }
  // Hands the `which`-th, as it is made, to `f`.
  template <class F>
  static void with(size_t which, F f) {
    size_t at = 0;
    ((at++ == which % kCount ? f(M{}) : void()), ...);
  }
};

using ClientMessages = Messages<attach::Hello, attach::Mapped, attach::Declare, attach::AddTopic,
                                attach::Subscribe, attach::Unsubscribe, attach::CloseLane,
                                attach::Released, attach::Query, attach::Tenant>;
using NodeMessages = Messages<attach::Welcome, attach::Declared, attach::Ok, attach::Error,
                              attach::Subscribed, attach::Join, attach::Reader, attach::ReaderGone,
                              attach::Leave, attach::Answer, attach::Ended>;
using PeerMessages =
    Messages<peer::SubAdd, peer::SubDel, peer::SubAck, peer::LaneTopic, peer::LaneReady,
             peer::LaneRefused, peer::LaneClose, peer::LaneClosed, peer::LaneHeld, peer::SubAll,
             peer::SubRefused, peer::RdmaCall, peer::RdmaAnswer, peer::RdmaRefused,
             peer::RdmaMirror, peer::RdmaLanded, peer::RdmaEnd>;

// The compiler writes "peer::Type::kSubAdd" for a value with a name, "(peer::Type)12" for another.
template <auto V>
consteval bool has_name() {
  const std::string_view said = __PRETTY_FUNCTION__;
  return said[said.rfind("V = ") + 4] != '(';
}

template <class... Sets>
consteval bool has(auto type) {
  return (Sets::has(type) || ...);
}

// Whether some messages have all values of `Type` that have a name.
template <class Type, class... Sets, size_t... I>
consteval bool all_are_in(std::index_sequence<I...> /*values*/) {
  return ((!has_name<static_cast<Type>(I)>() || has<Sets...>(static_cast<Type>(I))) && ...);
}
static_assert(has_name<attach::Type::kHello>() && !has_name<static_cast<attach::Type>(0)>());
static_assert(
    all_are_in<attach::Type, ClientMessages, NodeMessages>(std::make_index_sequence<128>()));
static_assert(all_are_in<peer::Type, PeerMessages>(std::make_index_sequence<128>()));

// What stands in it behind its type, or its header.
template <class M>
std::span<std::byte> contents(M& message) {
  size_t type = sizeof(uint32_t);
  if constexpr (requires { message.header; }) type = sizeof message.header;
  return std::as_writable_bytes(std::span(&message, 1)).subspan(type);
}

}  // namespace penstock::test
