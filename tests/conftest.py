"""What all tests share."""

import pytest


@pytest.fixture(autouse=True)
def seeded_on_one_thread():
    """The same numbers each time; and networks this small gain nothing from threads that wait for each other."""
    import torch            # slow, and the process that hands out the tests needs none of it

    before = torch.get_num_threads()
    torch.default_generator.manual_seed(0)      # torch.manual_seed keeps a traceback for each GPU backend, four milliseconds in all
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """The folder of the pages that `make site` writes, without Pyodide and tables."""
    from make_site import write_pages          # slow to import, and most tests need no page

    folder = tmp_path_factory.mktemp("site")
    write_pages(folder)
    return folder
