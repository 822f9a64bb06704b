"""Words in names of columns and in values that support a role, in several languages; values decide first.

A stem of six letters or more is found anywhere in a name, one of four or five at an end of a word, a shorter one as a
word. In other scripts a stem is found anywhere. Names are compared without case and accents: ``é`` is ``e``.
"""

import unicodedata

_LETTERS = str.maketrans({"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "đ": "d", "ı": "i"})


def to_plain_text(text: str) -> str:
    """Write a text without accents.

    Args:
        text: Text in any script.

    Returns:
        Text in which ``é`` is ``e`` and ``ł`` is ``l``; letters of other scripts stay.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in decomposed if not unicodedata.combining(letter)))


def split_words(text: str) -> list[str]:
    """Split a list of words.

    Args:
        text: Words with blanks between them.

    Returns:
        Words.
    """
    return text.split()


CUSTOMER = split_words(
    "customer client kunde kunden kund cliente klant usuario utilisateur benutzer nutzer mitglied membre miembro "
    "buyer kaufer iban konto klant counterparty payee auftraggeber zahlungspflicht beguenstigt begunstigt ordenante "
    "kaeufer acheteur comprador acquirente shopper subscriber abonnent patron donor household haushalt klient "
    "konsument consumer debitor debtor debiteur musteri kupuj zakaznik asiakas adherent afnemer koper titular socio "
    "tegenpartij rekening odbiorca nabywca kontrahent zahler bestillare kopare kober 会員 会员 顧客 顾客 お客様 購入者 "
    "客户 客戶 用户 用戶 买家 買家 고객 회원 구매자 клиент покупател заказчик пользовател контрагент абонент "
    "плательщик πελατ לקוח عميل"
)
CUSTOMER_WORDS = split_words(
    "user users uid member members socio cust account acct payer patient guest contact card who person "
    "dni nif nip msisdn constituent calling caller subscr username nickname login karte karten tarjeta carte kort "
    "kortnummer kun kunag kunrg bp partner party"
)
CUSTOMER_IDS = split_words("userid custid accountid memberid clientid buyerid")
EMAIL = split_words("email mail correo courriel epost")
ORDER = split_words(
    "order invoice bestell rechnung factura facture pedido commande receipt basket transaction invoic auftrag beleg "
    "bestilling ordine fattura zamowieni faktura ticket checkout purchaseid purchaseno quittung voucherno factuur "
    "bestelling 注文 订单 訂單 주문 заказ чек счет"
)
ORDER_WORDS = split_words("txn bon cart trans tx vbeln belnr piece lasku")
OTHER = split_words(
    "product produkt producto produit prodotto produto item sku stock article artikel articulo articolo store filiale "
    "branch warehouse seller vendor merchant employee cashier session coupon voucher campaign category kategorie "
    "brand description beschreibung country land pais pays city stadt region state postal postcode zip address "
    "adresse street phone telefon gender segment language browser device channel kanal terminal table register comment "
    "product asin ofert 商品 店舗 товар магазин server called"
)
PRODUCTS = (*OTHER[:13], "asin", "ofert", "商品", "товар")
OTHER_WORDS = split_words(
    "shop line row index desc note type status age birthday lat lon ip url code payment group level tier rep art mat "
    "cell"
)
ATTRIBUTES = split_words(
    "city country region state zip postal postcode address street phone age gender segment type group status since "
    "birth name first last lat lon land tier level language count class ip agent device gruppe typ art ort stadt "
    "klasse groupe groep grupo tipo pais categoria kategorie category bic"
)
ATTRIBUTE_ENDINGS = ("gruppe", "typ", "status", "land", "ort", "klasse", "segment", "gruppen")
ID_WORDS = split_words("id ids no nr num number nummer numero numer key code uuid guid hash ref identifier kennung")
ID_ENDINGS = split_words("nummer numer nbr nr")
TOTAL = split_words(
    "amount total revenue sales umsatz betrag summe montant importe importo valor valore value gross paid spend spent "
    "turnover bedrag kwota gesamt subtotal charge belop belob summa tutar toplam netto brutto wartosc imponible 金額 "
    "合計 小計 金额 合计 금액 합계 сумма стоимость итого выручка revenu ertrag"
)
TOTAL_WORDS = split_words("net sum ca gmv amt payment netwr")
PRICE = split_words(
    "price preis prix precio prezzo preco prijs cena pris unitcost fiyat hinta einzel tarif fare retail 単価 单价 價格 "
    "价格 단가 가격 цена"
)
PRICE_WORDS = split_words("unit rate each pu")
QUANTITY = split_words(
    "quantity quantit menge anzahl cantidad quantidade aantal ilosc antal units pieces stuck stueck kolicina miktar "
    "sztuk 数量 數量 個数 수량 количество"
)
QUANTITY_WORDS = split_words("qty qte n count pcs kpl units pieces items fkimg kwmeng pax nights seats")
NO_MONEY = split_words(
    "discount rabatt remise descuento sconto tax vat mwst steuer iva tva btw moms shipping versand freight fracht fee "
    "tip profit margin balance saldo rating score percent quote weight gewicht latitude longitude points punkte puntos "
    "year month day kontostand due fees hour week miles exchange tenure age installment refund refunded duration dauer "
    "duree seconds minutes sec probability gratuity"
)
INCLUDING = split_words(
    "incl including inkl excl excluding exkl with without before after net gross ttc ht ex exc inc hors"
)
PHONE = split_words("phone telefon telephone mobile handy")
CURRENCIES = split_words(
    "eur euro euros usd dollar dollars gbp chf sek nok dkk pln czk huf jpy yen inr brl cost kosten cout"
)
FEES = split_words("fee fees commission gebuhr gebuehr frais")
CREDIT = split_words("credit kredit haben gutschrift credito abono abonos ingreso ingresos avere deposit deposits")
CREDIT_WORDS = split_words("in bij inflow")
DEBIT = split_words("debit soll lastschrift debito cargo cargos adeudo dare withdrawal withdrawals retrait")
DEBIT_WORDS = split_words("out af outflow")
MINOR_UNITS = split_words("cents cent minor pence centimes centavos ore kopecks")
DATES = split_words(
    "date datum fecha time data zeit dato pvm 日時 日付 日期 时间 時間 날짜 일시 дата время occurr happen epoch"
)
DATE_WORDS = split_words("when day ts dt tag dia jour at dtm fkdat erdat audat bldat")
TIME_FIRST = split_words(
    "order invoice purchase transaction created buy bought sale sold kauf bestell rechnung compra achat pedido "
    "commande placed event when zakup zakupu factuur faktura emision 注文 下单 주문 заказ"
)
TIME_PAID = split_words("paid payment booking buchung processed captured")
TIME_LATER = split_words(
    "ship deliver update modif due birth signup register refund cancel return versand liefer expire valid settle "
    "fulfil approved estimated first last export load since join start end closed required promised verval forfal "
    "forfall fallig faellig vencim echeance scaden zahlbar valuta rente"
)
ZONES = ("timezone", "zeitzone", "fuseauhoraire", "tijdzone")
TIME_WON = split_words("close closed closing won")
STATUS = split_words("status zustand estatus statut stage situacao 状态 狀態 状態 ステータス 상태 статус")
REGION_OR_STATUS = split_words("state etat estado stato stan stav tila")
MEANS_OF_PAYMENT = split_words(
    "method methode zahlungsart zahlart zahlweise betaalwijze tender moyen metodo instrument wallet cardtype "
    "creditcard kartenart formadepago modedepaiement"
)
RETURN_NAMES = split_words("refund return retour rembours erstattet")
KINDS = split_words("type kind art action tipo typ soort event events vorgang")

# Values: kinds of rows. A word that is uncertain leads to a question, with the side on which it stands as first answer.
SALES = split_words(
    "paid complete completed fulfilled shipped delivered closed succeeded success successful captured settled done ok "
    "invoiced posted cleared confirmed approved sale charge payment purchase order processing partially_refunded "
    "partially_paid bezahlt abgeschlossen versendet geliefert checked_out purchased invoice order transaction pagado "
    "pagada completado completada aprovado aprovada entregado entregada cobrada cobrado pago pagata pagato paye payee "
    "livre livree expedie betaald verzonden afgerond geleverd betald betalt levererad leveret sendt maksettu oplacone "
    "zrealizowane wyslane in_progress won accepted booked 完了 発送済 交易成功 已完成 已付款 оплачен доставлен выполнен"
)
RETURNS = split_words(
    "credit_note creditnote credit_memo avoir retoure rucksendung devolution reembolsado rembourse devuelto "
    "refund refunded return returned chargeback credit reversal reversed storno erstattet"
)
NO_SALES = split_words(
    "cancelled canceled void voided failed declined rejected pending unpaid open draft expired abandoned storniert "
    "cancelado cancelada anulado anulada annule annulee geannuleerd annullato makulerad annulleret peruttu anulowane "
    "abgebrochen abgelehnt fehlgeschlagen echoue mislukt error refused denied lost "
    "checked_in checkin no_show noshow overdue due payment_due view cart click add_to_cart remove_from_cart visit "
    "session login search wishlist impression test created unavailable on_hold authorized offen ausstehend reverted "
    "redeem earn withdrawal payout キャンセル 取消 交易关闭 已取消 отменен отмена"
)
UNCERTAIN = split_words(
    "processing partially_refunded partially_paid in_progress pending unpaid open overdue due payment_due created "
    "on_hold authorized unavailable offen ausstehend redeem earn reverted withdrawal payout"
)
WON = ("won", "gewonnen", "gagne", "ganado", "ganada")
NEGATIONS = split_words("not non nicht no niet inte ikke nie sin kein un")
NO_SALE_STEMS = split_words(
    "cancel void storn annul anul refund revers declin chargeback zuruck abgelehnt unpaid reject"
)
FLAGS = ("cancel", "void", "refund", "storn", "return", "deleted", "annul", "test")
FLAGS_ANYWHERE = FLAGS[:4]
FLAGS_LEFT_OUT = ("cancel", "void", "storn", "deleted", "annul", "test")
TRUE = {"true", "t", "yes", "y", "1", "ja", "oui", "si", "x", "sim", "tak"}
FALSE = {"false", "f", "no", "n", "0", "nein", "non", "nee", "nej", "nao", "nie"}
# Value of received money, then of money that leaves the account.
DIRECTIONS = (
    ("credit", "debit"),
    ("c", "d"),
    ("cr", "dr"),
    ("bij", "af"),
    ("haben", "soll"),
    ("h", "s"),
    ("in", "out"),
)
PLACEHOLDERS = split_words(
    "guest unknown anonymous none na n/a null 0 -1 00000 999999 99999 walk-in walkin cash test default gast unbekannt "
    "invitado invité noreply undefined"
)
