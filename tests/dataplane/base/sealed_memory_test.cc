#include "dataplane/base/sealed_memory.h"

#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>

namespace penstock {
namespace {

constexpr uint64_t kBytes = 64 << 10;
constexpr uint64_t kHuge = uint64_t{4} << 20;

// The same file again, the way an attacker would: through /proc.
Fd reopen(int fd, int flags) {
  return Fd(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), flags | O_CLOEXEC));
}

size_t open_descriptors() {
  const auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

size_t memfd_mappings() {
  std::ifstream maps("/proc/self/maps");
  size_t n = 0;
  for (std::string line; std::getline(maps, line);)
    n += line.find("memfd:") != std::string::npos;
  return n;
}

// With false: in small pages; with true: in 2 MiB pages, where there are any.
class Sealed : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    auto m = SealedMemory::create("test", GetParam() ? kHuge : kBytes, GetParam());
    ASSERT_TRUE(m.ok());
    if (GetParam() && !m->huge()) GTEST_SKIP() << "needs free 2 MiB hugepages";
    memory_ = std::move(*m);
    auto map = memory_.map(Access::kReadWrite);
    ASSERT_TRUE(map.ok());
    writer_ = std::move(*map);
    auto fd = memory_.read_only_fd();
    ASSERT_TRUE(fd.ok());
    reader_fd_ = std::move(*fd);
  }

  // Everything that a holder of `fd` may try, whatever it was opened for.
  void expect_untouchable(int fd) {
    void* p = mmap(nullptr, memory_.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_EQ(p, MAP_FAILED);
    EXPECT_LT(write(fd, "x", 1), 0);
    EXPECT_LT(pwrite(fd, "x", 1, 0), 0);
    EXPECT_NE(ftruncate(fd, 0), 0);
    EXPECT_NE(ftruncate(fd, static_cast<off_t>(2 * memory_.bytes())), 0);
    EXPECT_NE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 21), 0);
    EXPECT_NE(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096), 0);
    p = mmap(nullptr, memory_.bytes(), PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_NE(p, MAP_FAILED);
    EXPECT_NE(mprotect(p, memory_.bytes(), PROT_READ | PROT_WRITE), 0);
    EXPECT_NE(madvise(p, memory_.bytes(), MADV_REMOVE), 0);
    EXPECT_EQ(std::memcmp(p, "still here", 10), 0);
    munmap(p, memory_.bytes());
  }

  SealedMemory memory_;
  Mapping writer_;
  Fd reader_fd_;
};

TEST_P(Sealed, StartsAsZeros) {
  for (uint64_t i = 0; i < writer_.size(); i++)
    ASSERT_EQ(writer_.data()[i], std::byte{0});
}

TEST_P(Sealed, AReadersDescriptorCannotChangeIt) {
  ASSERT_EQ(memory_.seal_writes(), Errc::kOk);
  std::memcpy(writer_.data(), "still here", 10);
  expect_untouchable(reader_fd_.get());
}

TEST_P(Sealed, ADescriptorReopenedForWritingCannotChangeIt) {
  ASSERT_EQ(memory_.seal_writes(), Errc::kOk);
  std::memcpy(writer_.data(), "still here", 10);
  const Fd again = reopen(reader_fd_.get(), O_RDWR);
  ASSERT_TRUE(again) << "its owner may reopen it; the seals are what protects it";
  expect_untouchable(again.get());
}

TEST_P(Sealed, TheWritersOwnDescriptorIsWorthNothingAfterwards) {
  ASSERT_EQ(memory_.seal_writes(), Errc::kOk);
  std::memcpy(writer_.data(), "still here", 10);
  expect_untouchable(memory_.fd());
}

TEST_P(Sealed, NoMoreSealsCanBeAdded) {
  ASSERT_EQ(memory_.seal_writes(), Errc::kOk);
  EXPECT_NE(fcntl(memory_.fd(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST_P(Sealed, TheWritersMappingWritesOnAndReadersSeeIt) {
  ASSERT_EQ(memory_.seal_writes(), Errc::kOk);
  const auto reader = Mapping::open(reader_fd_.get(), memory_.bytes(), Access::kRead);
  ASSERT_TRUE(reader.ok());
  std::memcpy(writer_.data() + 100, "news", 4);
  EXPECT_EQ(std::memcmp(reader->data() + 100, "news", 4), 0);
}

TEST_P(Sealed, WhoForbidsItselfWritingGoesOnReading) {
  std::memcpy(writer_.data(), "still here", 10);
  writer_.forbid_writing();
  EXPECT_EQ(std::memcmp(writer_.data(), "still here", 10), 0);
  EXPECT_DEATH(std::memset(writer_.data(), 0, 10), "");
}

TEST_P(Sealed, OnlyItsOwnerMayOpenItAnew) {
  struct stat st {};
  ASSERT_EQ(fstat(reader_fd_.get(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

INSTANTIATE_TEST_SUITE_P(Pages, Sealed, testing::Bool(),
                         [](const auto& p) { return p.param ? "Huge" : "Small"; });

TEST(Mapping, RefusesAnotherSizeThanWasAgreedOn) {
  auto m = *SealedMemory::create("test", kBytes);
  ASSERT_EQ(m.seal_writes(), Errc::kOk);
  EXPECT_EQ(Mapping::open(m.fd(), kBytes + 1, Access::kRead).error(), Errc::kInvalid);
  EXPECT_EQ(Mapping::open(m.fd(), kBytes - 4096, Access::kRead).error(), Errc::kInvalid);
  EXPECT_EQ(Mapping::open(m.fd(), 0, Access::kRead).error(), Errc::kInvalid);
  EXPECT_EQ(Mapping::open(m.fd(), ~uint64_t{0}, Access::kRead).error(), Errc::kInvalid);
  EXPECT_TRUE(Mapping::open(m.fd(), kBytes, Access::kRead).ok());
}

TEST(Mapping, TakesASizeThatThePagesRoundedUp) {
  auto m = *SealedMemory::create("test", kBytes - 100);
  ASSERT_EQ(m.seal_writes(), Errc::kOk);
  const auto map = Mapping::open(m.fd(), kBytes - 100, Access::kRead);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->size(), kBytes);
}

TEST(Mapping, AReaderInsistsOnSealedWrites) {
  auto m = *SealedMemory::create("test", kBytes);
  EXPECT_EQ(Mapping::open(m.fd(), kBytes, Access::kRead).error(), Errc::kDenied);
  EXPECT_TRUE(Mapping::open(m.fd(), kBytes, Access::kReadWrite).ok());
}

TEST(Mapping, RefusesMemoryThatCanShrink) {
  const Fd fd(memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(fd.get(), kBytes), 0);
  EXPECT_EQ(Mapping::open(fd.get(), kBytes, Access::kReadWrite).error(), Errc::kDenied);
}

TEST(Mapping, RefusesWhatIsNotAMemfd) {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(Mapping::open(null.get(), kBytes, Access::kRead).error(), Errc::kInvalid);
  EXPECT_EQ(Mapping::open(-1, kBytes, Access::kRead).error(), Errc::kInvalid);
}

TEST(Mapping, ARefusedWriterGetsNoMapping) {
  auto m = *SealedMemory::create("test", kBytes);
  ASSERT_EQ(m.seal_writes(), Errc::kOk);
  EXPECT_EQ(Mapping::open(m.fd(), kBytes, Access::kReadWrite).error(), Errc::kDenied);
}

TEST(SealedMemory, NothingStaysBehind) {
  const size_t fds = open_descriptors();
  const size_t mappings = memfd_mappings();
  for (int i = 0; i < 100; i++) {
    auto m = *SealedMemory::create("test", kBytes);
    auto map = *m.map(Access::kReadWrite);
    ASSERT_EQ(m.seal_writes(), Errc::kOk);
    auto fd = *m.read_only_fd();
    auto other = *Mapping::open(fd.get(), kBytes, Access::kRead);
    map = std::move(other);
  }
  EXPECT_EQ(open_descriptors(), fds);
  EXPECT_EQ(memfd_mappings(), mappings);
}

TEST(SealedMemory, SaysSoWhenThereIsNoRoom) {
  EXPECT_EQ(SealedMemory::create("test", 0).error(), Errc::kInvalid);
  EXPECT_EQ(SealedMemory::create("test", uint64_t{1} << 60).error(), Errc::kInvalid);
}

TEST(SealedMemory, SmallMemoryTakesNoHugePage) {
  EXPECT_FALSE(SealedMemory::create("test", kBytes, true)->huge());
}

}  // namespace
}  // namespace penstock
