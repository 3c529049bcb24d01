#include "control/cli/top.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "control/cli/interrupt.h"
#include "control/cli/json_fields.h"
#include "control/cli/node.h"

namespace penstock::cli {

namespace {

constexpr uint64_t kFirstInterval = 250'000'000;  // ns until there are rates to show
constexpr size_t kNoLimit = 10'000;

uint64_t now_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::nanoseconds(since).count());
}

Snapshot look(pen::Client& client) {
  Snapshot s;
  s.at_ns = now_ns();
  s.node = ask(client, "show node");
  s.lanes = ask(client, "show lanes");
  s.links = ask(client, "show links");
  s.ports = ask(client, "show ports");
  s.drops = ask(client, "show drops");
  return s;
}

nlohmann::json as_json(const Snapshot& s) {
  return {{"at_ns", s.at_ns}, {"node", s.node},   {"lanes", s.lanes},
          {"links", s.links}, {"ports", s.ports}, {"drops", s.drops}};
}

// Keys one by one and no echo, while it lives, if the input is a terminal.
class RawInput {
 public:
  RawInput() : changed_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!changed_) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~RawInput() {
    if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawInput(const RawInput&) = delete;
  RawInput& operator=(const RawInput&) = delete;

 private:
  termios before_{};
  bool changed_;
};

size_t screen_lines() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 4) return kNoLimit;
  return size.ws_row - 1u;
}

}  // namespace

bool pause_or_quit(uint64_t ns) {
  // Without a terminal there is nobody who could press a key.
  pollfd input{isatty(STDIN_FILENO) == 1 ? STDIN_FILENO : -1, POLLIN, 0};
  const timespec wait{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  const int ready = ppoll(&input, 1, &wait, nullptr);
  char key = 0;
  if (ready == 1 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')) return true;
  return interrupted();
}

Exit top(const Io& io, const TopOptions& options) {
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  pen::Client client = attach(options.socket, "penstock top");
  const RawInput raw;
  Snapshot before = look(client);
  bool quit = pause_or_quit(std::min(kFirstInterval, options.interval_ns));
  for (uint64_t n = 1; !quit; n++) {
    Snapshot now = look(client);
    if (options.json) {
      io.out << json_text(as_json(now), -1) << std::flush;
    } else {
      // Home, the screen, and nothing of the last one behind it.
      const std::string view = top_view(before, now, terminal ? screen_lines() : kNoLimit);
      io.out << (terminal ? "\x1b[H\x1b[2J" : n > 1 ? "\n" : "") << view << std::flush;
    }
    if (!io.out) throw Failure(Exit::kFailed, "the output cannot be written");
    before = std::move(now);
    if (n == options.count) break;
    quit = pause_or_quit(options.interval_ns);
  }
  return Exit::kOk;
}

}  // namespace penstock::cli
