# The few target functions that every CMakeLists.txt of this project is written with.

add_library(ppx_options INTERFACE)
target_compile_options(ppx_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual)
if(PPX_WERROR)
  target_compile_options(ppx_options INTERFACE -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # These come from data-flow analysis, and compiler releases disagree about them. The first is
    # wrong about every std::optional of a container.
    target_compile_options(ppx_options INTERFACE
      -Wno-maybe-uninitialized -Wno-error=stringop-overflow -Wno-error=array-bounds
      -Wno-restrict)
    if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
      target_compile_options(ppx_options INTERFACE -Wno-error=dangling-reference)
    endif()
  endif()
endif()
if(PPX_SANITIZE)
  target_compile_options(ppx_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(ppx_options INTERFACE -fsanitize=address,undefined)
endif()
if(PPX_FUZZ)
  target_compile_options(ppx_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# ppx_library(name SOURCES a.cc b.cc LINKS ppx_base ...): the static library ppx_<name> of lib/<name>.
function(ppx_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(ppx_${name} STATIC ${arg_SOURCES})
  target_include_directories(ppx_${name} PUBLIC ${PROJECT_SOURCE_DIR}/lib)
  target_link_libraries(ppx_${name} PUBLIC ${arg_LINKS} PRIVATE ppx_options ${arg_PRIVATE_LINKS})
endfunction()

# ppx_cuda_kernels(name SOURCES a.cu ...): the static library ppx_<name>_cuda, for the library's own use.
function(ppx_cuda_kernels name)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  add_library(ppx_${name}_cuda STATIC ${arg_SOURCES})
  set_target_properties(ppx_${name}_cuda PROPERTIES
    CUDA_ARCHITECTURES "80-real;90-real;90-virtual" CUDA_STANDARD 17 CUDA_RUNTIME_LIBRARY Shared
    POSITION_INDEPENDENT_CODE ON)
  target_include_directories(ppx_${name}_cuda PRIVATE ${PROJECT_SOURCE_DIR}/lib)
endfunction()

# ppx_app(name SOURCES main.cc ... LINKS ...): the program bin/<name>.
function(ppx_app name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/apps)
  target_link_libraries(${name} PRIVATE ppx_options ${arg_LINKS})
endfunction()

# ppx_test(name SOURCES a_test.cc ... LINKS ...): a doctest program, one ctest case of the same name.
function(ppx_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINKS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/apps)
  target_compile_definitions(${name} PRIVATE PPX_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ppx_options ppx_test_main ${arg_LINKS})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "ASAN_OPTIONS=detect_container_overflow=0:allocator_may_return_null=1;LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp;TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp")
endfunction()

# ppx_fuzz(name SOURCES x_fuzz.cc LINKS ... CORPUS dir): with PPX_FUZZ a libFuzzer program; otherwise
# (and always as a ctest case) a plain program that replays the seed corpus, so that it cannot rot.
function(ppx_fuzz name)
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINKS" ${ARGN})
  if(PPX_FUZZ)
    add_executable(${name} ${arg_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(run_args -runs=0)
  else()
    add_executable(${name} ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cc)
    set(run_args)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ppx_options ${arg_LINKS})
  add_test(NAME ${name} COMMAND ${name} ${run_args} ${PROJECT_SOURCE_DIR}/tests/fuzz/${arg_CORPUS})
endfunction()
