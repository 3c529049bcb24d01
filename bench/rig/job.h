// Job: one row of the table as a measuring program gets it on its command line.
//
//     PROGRAM rtt|rate|fan|loan SIZE [--readers N] [--ms N] [--port NAME] [--mtu N]
//             [--lost N]
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace penstock::bench {

enum class Kind : uint8_t {
  kRtt,   // one message there and one of the same size back; microseconds
  kRate,  // one way as fast as it goes, lossless; messages a second
  kFan,   // the same to many readers; deliveries a second
  kLoan,  // as kRate, but nobody writes or reads the payload
};

struct Job {
  Kind kind = Kind::kRtt;
  size_t size = 64;
  uint32_t readers = 1;
  uint32_t ms = 500;  // measured time; a quarter of it comes before, as warm-up
  const char* port = "net_ring";
  uint32_t mtu = 1500;
  uint32_t lost = 0;  // frames of a million that vanish before a node sees them, both ways

  uint32_t burst = 64;  // messages that a reader takes before it gives them back

  bool touched() const { return kind != Kind::kLoan; }
};

// How much memory a ring or a lane has for payloads: what was fastest for the bare ring.
inline constexpr uint64_t arena_bytes(size_t message) {
  return uint64_t{1} << (message < 1024 ? 20 : 22);
}

inline const char* text(Kind kind) {
  constexpr const char* kText[] = {"rtt", "rate", "fan", "loan"};
  return kText[static_cast<unsigned>(kind)];
}

[[noreturn]] inline void usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s rtt|rate|fan|loan SIZE [--readers N] [--ms N] [--port NAME] [--mtu N]"
               " [--lost N]\n",
               program);
  std::exit(2);
}

inline uint32_t number_or_usage(const char* program, const char* text) {
  char* end = nullptr;
  const unsigned long v = std::strtoul(text, &end, 10);
  if (end == text || *end != '\0' || v == 0 || v > (1U << 30)) usage(program);
  return static_cast<uint32_t>(v);
}

inline Job parse_job(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) usage(argv[0]);
  Job job;
  unsigned kind = 0;
  while (kind < 4 && std::string_view(argv[1]) != text(Kind{static_cast<uint8_t>(kind)}))
    kind++;
  if (kind == 4) usage(argv[0]);
  job.kind = Kind{static_cast<uint8_t>(kind)};
  job.size = number_or_usage(argv[0], argv[2]);
  if (job.size % 8 != 0) usage(argv[0]);
  job.burst = static_cast<uint32_t>(std::clamp<size_t>((size_t{128} << 10) / job.size, 1, 64));
  for (int i = 3; i < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--port") {
      job.port = argv[i + 1];
    } else if (option == "--readers") {
      job.readers = number_or_usage(argv[0], argv[i + 1]);
    } else if (option == "--ms") {
      job.ms = number_or_usage(argv[0], argv[i + 1]);
    } else if (option == "--mtu") {
      job.mtu = number_or_usage(argv[0], argv[i + 1]);
    } else if (option == "--lost") {
      job.lost = number_or_usage(argv[0], argv[i + 1]);
    } else {
      usage(argv[0]);
    }
  }
  return job;
}

}  // namespace penstock::bench
