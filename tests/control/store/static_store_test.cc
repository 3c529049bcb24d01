#include "control/store/static_store.h"

#include <fstream>
#include <map>

#include "tests/control/store/backend.h"
#include "tests/control/store/temporary.h"

namespace penstock::test {
namespace {

using store::Fault;
using store::StaticStore;

// A person who replaces the file, as editors do.
class StaticBackend : public Backend {
 public:
  StaticBackend() { save(); }
  std::unique_ptr<store::Store> open() override { return std::make_unique<StaticStore>(path_); }
  void put(const std::string& key, const std::string& value) override { change(key, &value); }
  void remove(const std::string& key) override { change(key, nullptr); }

 private:
  void change(const std::string& key, const std::string* value) {
    if (value != nullptr)
      rows_[key] = value->substr(5, value->size() - 6);  // of {"n":1}
    else
      rows_.erase(key);
    save();
  }
  void save() {
    {
      std::ofstream out(path_ + ".new");
      for (const auto& [key, n] : rows_)
        out << "[" << key.substr(0, key.find('/')) << "." << key.substr(key.find('/') + 1)
            << "]\nn = " << n << "\n";
    }
    std::filesystem::rename(path_ + ".new", path_);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("s.toml");
  std::map<std::string, std::string> rows_;
};

struct StaticStoreTest : testing::Test {
  void write(const std::string& text) { std::ofstream(path) << text; }

  TemporaryFolder folder;
  std::string path = folder.file("s.toml");
  StaticStore store{path};
};

TEST_F(StaticStoreTest, ATableIsAKeyAndItsJson) {
  write(
      "[members.2]\nport = 9470\naddress = \"10.1.0.2\"\n[members.1]\n[policy.all]\nlist = [1, "
      "2]\n");
  const auto all = store.range("");
  ASSERT_TRUE(all) << all.error().text;
  ASSERT_EQ(all->entries.size(), 3u);
  EXPECT_EQ(all->entries[0].key, "members/1");
  EXPECT_EQ(all->entries[0].value, "{}");
  EXPECT_EQ(all->entries[1].value, R"({"address":"10.1.0.2","port":9470})");
  EXPECT_EQ(all->entries[2].value, R"({"list":[1,2]})");
}

TEST_F(StaticStoreTest, AWriteIsRefusedAndSaysWhatToEdit) {
  write("");
  for (const auto& refused :
       {store.txn(put("a/b", "{}")).map([](auto&&) {}), store.grant(kSoon).map([](auto&&) {}),
        store.keep_alive(1), store.revoke(1)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().fault, Fault::kReadOnly);
    EXPECT_NE(refused.error().text.find(path), std::string::npos) << refused.error().text;
  }
}

TEST_F(StaticStoreTest, ABadFileIsUnavailableWithItsLine) {
  for (const char* bad : {"[a.b]\nx = 1\nx = 2\n", "[a.b]\n\nx = \n", "\n\na = 1\n",
                          "[a]\n\nb = 1\n", "\n\n[\"a b\".c]\n"}) {
    write(bad);
    const auto all = store.range("");
    ASSERT_FALSE(all) << bad;
    EXPECT_EQ(all.error().fault, Fault::kUnavailable);
    EXPECT_NE(all.error().text.find(path + ":3: "), std::string::npos) << all.error().text;
  }
  write("a" + std::string(5000, '.') + "b = 1\n");
  EXPECT_FALSE(store.range(""));
  std::filesystem::remove(path);
  const auto none = store.range("");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().fault, Fault::kUnavailable);
}

TEST_F(StaticStoreTest, WhatWasTrueBeforeABadEditIsStillThereAfterIt) {
  write("[a.b]\nx = 1\n");
  const auto before = store.range("");
  ASSERT_TRUE(before);
  write("[a.b]\nx = \n");
  EXPECT_FALSE(store.range(""));
  write("# mended\n[a.b]\nx = 1\n");
  const auto after = store.range("");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->revision, before->revision);
  EXPECT_EQ(after->entries, before->entries);
}

TEST_F(StaticStoreTest, AWatchWakesWhenTheFileChanges) {
  write("[a.b]\nx = 1\n");
  const auto watch = store.watch("", store.range("")->revision);
  ASSERT_TRUE(watch);
  ASSERT_TRUE((*watch)->next(milliseconds(0))->empty());
  write("[a.b]\nx = 2\n");  // in place
  const auto events = (*watch)->next(kSoon);
  ASSERT_TRUE(events) << events.error().text;
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ((*events)[0].entry.value, R"({"x":2})");
}

std::unique_ptr<Backend> file() {
  return std::make_unique<StaticBackend>();
}
INSTANTIATE_TEST_SUITE_P(Static, Contract, testing::Values(&file));

}  // namespace
}  // namespace penstock::test
