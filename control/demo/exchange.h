// Exchange: sending and receiving the job's messages through one attached client. Trainer and
// server each own one; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "control/demo/messages.h"
#include "control/demo/model.h"
#include "dataplane/client/penstock.hpp"

namespace penstock::demo {

// How long a send waits for room or for a puller before it gives up.
inline constexpr int64_t kSendTimeoutNs = 30'000'000'000;

// Writes the message where its receivers will read it, so that nothing is copied on the way out.
// Waits while there is no room, or no puller.
pen::Code send_in_place(pen::Sender& sender, uint32_t topic, const MessageHeader& header,
                        std::span<const float> floats);

// The ids of the topics `prefix`.hidden and `prefix`.output.
pen::Result<std::array<uint32_t, kLayers>> layer_topics(pen::Sender& sender,
                                                        const std::string& prefix);

// What to say when a set-up call failed, or when the node says that messages were lost: nothing
// here can go on without them.
tl::unexpected<std::string> set_up_failed(const char* what);
tl::unexpected<std::string> lost(const pen::Message& gap);

// How long the message was under way; 0 when it bears no time, or one that is yet to come.
uint64_t age_ns(const pen::Message& message);

}  // namespace penstock::demo
