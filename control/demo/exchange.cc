#include "control/demo/exchange.h"

#include <chrono>
#include <fmt/format.h>
#include <thread>

namespace penstock::demo {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

pen::Code send_in_place(pen::Sender& sender, uint32_t topic, const MessageHeader& header,
                        std::span<const float> floats) {
  const size_t len = message_size(header);
  auto room = sender.loan(len);
  const auto give_up = Clock::now() + std::chrono::nanoseconds(kSendTimeoutNs);
  while (room.code() == PENSTOCK_WOULD_BLOCK || room.code() == PENSTOCK_NO_ROUTE) {
    if (Clock::now() > give_up) return room.code();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    room = sender.loan(len);
  }
  if (!room) return room.code();
  write_message(header, floats, *room);
  return sender.commit(topic, len);
}

pen::Result<std::array<uint32_t, kLayers>> layer_topics(pen::Sender& sender,
                                                        const std::string& prefix) {
  std::array<uint32_t, kLayers> ids{};
  for (size_t l = 0; l < kLayers; l++) {
    const auto id = sender.topic(prefix + "." + kLayerNames[l]);
    if (!id) return id.code();
    ids[l] = *id;
  }
  return ids;
}

tl::unexpected<std::string> set_up_failed(const char* what) {
  return tl::make_unexpected(fmt::format("{}: {}", what, pen::last_error()));
}

tl::unexpected<std::string> lost(const pen::Message& gap) {
  return tl::make_unexpected(fmt::format("{} messages of {} were lost: {}", gap.gap_count,
                                         gap.publisher, gap.gap_reason_text()));
}

uint64_t age_ns(const pen::Message& message) {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto now = static_cast<uint64_t>(std::chrono::nanoseconds(since_1970).count());
  return message.time_ns == 0 || message.time_ns > now ? 0 : now - message.time_ns;
}

}  // namespace penstock::demo
