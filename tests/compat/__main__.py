"""`python -m tests.compat` prints README's table of the contract."""

from tests.compat.contract import CONTRACT
from tests.compat.promises import row

if __name__ == "__main__":
    print(*map(row, CONTRACT), sep="\n")
