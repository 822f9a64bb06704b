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
    return unicodedata.normalize("NFC", "".join(letter for letter in decomposed if not "\u0300" <= letter <= "\u036f"))


def split_words(text: str) -> list[str]:
    """Split a list of words.

    Args:
        text: Words with blanks between them.

    Returns:
        Words.
    """
    return text.split()


CUSTOMER = split_words(
    "partitaiva codicefiscale ragionesociale raisonsociale razonsocial customer client kunde kunden kund cliente "
    "klant usuario utilisateur benutzer nutzer mitglied membre miembro buyer kaufer iban konto counterparty payee "
    "auftraggeber zahlungspflicht beguenstigt begunstigt ordenante kaeufer acheteur comprador acquirente shopper "
    "subscriber abonnent patron donor household haushalt klient konsument consumer debitor debtor debiteur "
    "musteri kupuj zakaznik asiakas adherent afnemer koper titular socio tegenpartij rekening odbiorca nabywca "
    "kontrahent zahler bestillare kopare kober 会員 会员 顧客 顾客 お客様 購入者 客户 客戶 用户 用戶 买家 買家 "
    "下单帐号 下单账号 对方账户 注文者id 고객 회원 구매자 주문자id клиент покупател заказчик пользовател "
    "контрагент абонент плательщик πελατ לקוח عميل"
)
CUSTOMER_WORDS = split_words(
    "user users uid member members socio cust account acct payer patient guest contact card who person dni nif "
    "nip cpf cnpj nipc contribuinte alici cari uye msisdn constituent calling caller subscr username nickname "
    "login karte karten tarjeta carte kort kortnummer kun kunag kunrg bp partner party"
)
CUSTOMER_IDS = split_words("userid custid accountid memberid clientid buyerid")
EMAIL = split_words("email mail correo courriel epost eposta poczta メールアドレス 邮箱 郵箱 이메일")
ORDER = split_words(
    "order invoice bestell rechnung factura facture pedido commande receipt basket transaction invoic auftrag "
    "beleg bestilling ordine fattura zamowieni faktura siparis encomenda 伝票 取引id 取引番号 受注番号 ticket "
    "checkout purchaseid purchaseno quittung voucherno factuur bestelling 注文 订单 訂單 주문 заказ чек счет"
)
ORDER_WORDS = split_words("txn bon cart trans tx vbeln belnr piece lasku")
OTHER = split_words(
    "product produkt producto produit prodotto produto item sku stock article artikel articulo articolo store "
    "filiale branch warehouse seller vendor merchant employee cashier session coupon voucher campaign category "
    "kategorie brand description beschreibung country land pais pays city stadt region state postal postcode zip "
    "address adresse street phone telefon gender segment language browser device channel kanal terminal table "
    "register comment asin ofert 商品 店舗 товар магазин server called"
)
PRODUCTS = (*OTHER[:13], "asin", "ofert", "商品", "товар")
OTHER_WORDS = split_words(
    "shop line row index desc note type status age birthday lat lon ip url code payment group level tier rep art "
    "mat cell"
)
ATTRIBUTES = split_words(
    "city country region state zip postal postcode address street phone age gender segment type group status "
    "since birth name first last lat lon land tier level language count class ip agent device gruppe typ art ort "
    "stadt klasse groupe groep grupo tipo pais categoria kategorie category bic"
)
ATTRIBUTE_ENDINGS = ("gruppe", "typ", "status", "land", "ort", "klasse", "segment", "gruppen")
ID_WORDS = split_words("id ids no nr num number nummer numero numer key code uuid guid hash ref identifier kennung")
NAME_ENDINGS = split_words("nummer numer nbr nr qty price amount amt")
TOTAL = split_words(
    "amount total revenue sales umsatz betrag summe montant importe importo valor valore value gross paid spend "
    "spent turnover bedrag kwota gesamt subtotal charge belop belob summa tutar toplam netto brutto wartosc "
    "imponible 金額 货款 貨款 支付金额 売上 お支払い 合計 小計 金额 合计 금액 합계 сумма стоимость итого выручка "
    "revenu"
)
TOTAL_WORDS = split_words("net ertrag sum ca gmv amt payment netwr")
PRICE = split_words(
    "price preis prix precio prezzo preco prijs cena pris unitcost fiyat hinta einzel tarif fare retail 単価 单价 "
    "價格 价格 단가 가격 цена"
)
PRICE_WORDS = split_words("unit rate each pu")
QUANTITY = split_words(
    "quantity quantit menge anzahl cantidad quantidade aantal ilosc antal units pieces stuck stueck kolicina "
    "miktar sztuk 数量 數量 個数 수량 количество"
)
QUANTITY_WORDS = split_words("qty qte n count pcs kpl units pieces items fkimg kwmeng pax nights seats")
NO_MONEY = split_words(
    "disc dph gst discount rabatt remise descuento sconto tax vat mwst steuer iva tva btw moms shipping versand "
    "freight fracht fee tip profit margin balance saldo rating score percent quote weight gewicht latitude "
    "longitude points punkte puntos restbetrag restant outstanding remaining openstaand offen restanza pendiente "
    "frete flete envio verzendkosten wysylk dostaw kargo livraison spedizione desconto korting rabat "
    "indirim sconti kdv imposto impuesto podatek 送料 运费 運費 邮费 郵費 배송비 割引 値引 优惠 折扣 할인 消費税 "
    "税額 税额 内税 세금 手数料 手续费 服务费 수수료 退款 返金 환불 year month day kontostand due fees hour week "
    "miles exchange tenure age installment refund refunded duration dauer duree seconds minutes sec probability "
    "gratuity"
)
INCLUDING = split_words(
    "incl including inkl excl excluding exkl with without before after net gross ttc ht ex exc inc hors s bez"
)
PHONE = split_words("phone telefon telephone mobile handy")
CURRENCIES = split_words(
    "eur euro euros usd dollar dollars gbp chf sek nok dkk pln czk huf jpy yen inr brl cost kosten cout"
)
FEES = split_words(
    "fee fees commission gebuhr gebuehr frais comision comissao provisie prowizja komisyon 手数料 手续费 服务费 수수료"
)
DISCOUNTS = split_words(
    "disc discount rabatt rabat remise descuento desconto korting sconto indirim reduction nachlass skonto 割引 "
    "値引 优惠 折扣 할인"
)
CREDIT = split_words(
    "収入 收入 预入 入金額 입금 credit kredit haben gutschrift credito abono abonos ingreso ingresos avere "
    "deposit deposits"
)
CREDIT_WORDS = split_words("in bij inflow")
DEBIT = split_words(
    "支出 出金額 引出 출금 debit soll lastschrift debito cargo cargos adeudo dare withdrawal withdrawals retrait"
)
DEBIT_WORDS = split_words("out af outflow")
MINOR_UNITS = split_words("cents cent minor pence centimes centavos ore kopecks")
DATES = split_words(
    "date datum fecha tarih tarihi time data zeit dato pvm 日時 日付 日期 时间 時間 날짜 일시 дата время occurr "
    "happen epoch"
)
MONTHS = split_words("month monat mois mes maand miesiac period periode periodo 月份 年月")
DATE_WORDS = split_words("when day ts dt tag dia jour at dtm fkdat erdat audat bldat")
TIME_FIRST = split_words(
    "order invoice purchase transaction created buy bought sale sold kauf bestell rechnung compra achat pedido "
    "commande placed event when zakup zakupu factuur faktura emision siparis bestelling zamowieni sprzedaz venta "
    "venda vente verkauf emissao wystawienia booked 注文 下单 下單 创建 建立 成交 購入 売上 取引 交易 주문 заказ"
)
TIME_PAID = split_words(
    "paid payment booking buchung processed captured bezahlt paiement betaald odeme platnosci 付款 支付 入金 決済 결제"
)
TIME_LATER = split_words(
    "ship deliver update modif due birth signup register refund cancel return versand liefer expire valid settle "
    "fulfil approved estimated first last export load since join start end closed required promised verval forfal "
    "forfall fallig faellig vencim echeance scaden zahlbar valuta rente arrival departure anreise abreise llegada "
    "terminplatnosci 发货 發貨 出荷 発送 お届け 更新 배송"
)
ZONES = ("timezone", "zeitzone", "fuseauhoraire", "tijdzone")
TIME_WON = split_words("close closed closing won")
STATUS = split_words(
    "status zustand estatus statut stage situacao 状态 狀態 状態 ステータス 対応状況 상태 статус statu durum situation"
)
REGION_OR_STATUS = split_words("state etat estado stato stan stav tila")
MEANS_OF_PAYMENT = split_words(
    "method methode zahlungsart zahlart zahlweise betaalwijze tender moyen metodo instrument wallet cardtype "
    "creditcard kartenart formadepago modedepaiement"
)
REFUNDS = split_words(
    "refund refunded erstattet rembours reembols terugbetaald rimborsat devuelto 退款 返金 환불 zwrocon iadetutar"
)
RETURN_NAMES = split_words("refund return retour rembours erstattet")
KINDS = split_words("type kind art action tipo typ soort event events vorgang")

# Values: kinds of rows. A word that is uncertain leads to a question, with the side on which it stands as first answer.
SALES = split_words(
    "ticketed issued sales paid complete completed fulfilled shipped delivered closed succeeded success "
    "successful captured settled done ok invoiced posted cleared confirmed approved sale charge payment purchase "
    "order processing partially_refunded partially_paid bezahlt abgeschlossen versendet geliefert checked_out "
    "purchased invoice transaction pagado pagada completado completada aprovado aprovada entregado entregada "
    "cobrada cobrado pago pagata pagato paye payee livre livree expedie expediee envoye envoyee enviado enviada "
    "accepte acceptee acceptado aceptado aceptada aceito autorizada autorizado autorise autorisee autorisation "
    "confirmado confirmada confirme confirmee finalizado finalizada concluido concluida fechada fechado facturado "
    "facturada entregue recibido recibida spedito spedita consegnato consegnata completato completata confermato "
    "evaso verwerkt voltooid bevestigd afgehandeld erledigt zugestellt verbucht ausgeliefert dostarczone "
    "dostarczono zakonczone zrealizowano potwierdzone oplacono odebrane zaplacono doruceno vyrizeno odeslano "
    "skickad slutford levert toimitettu teljesitve kifizetve teslim tamamlandi kargoda onaylandi odendi basarili "
    "paid_out collected rechnung factura facture fatura faktura fattura factuur vente venta venda vendita verkauf "
    "verkoop sprzedaz satis autorizacion betaald verzonden afgerond geleverd betald betalt levererad leveret "
    "sendt maksettu oplacone zrealizowane wyslane in_progress won accepted booked 完了 発送済 交易成功 已完成 "
    "已付款 оплачен доставлен выполнен"
)
RETURNS = split_words(
    "ruckerstattung erstattung ruckzahlung restituzione credit_note creditnote credit_memo avoir retoure "
    "rucksendung devolution reembolsado rembourse devuelto remboursee remboursement reembolsada reembolso "
    "devuelta devolucao devolucion gutschrift credito abono zwrot zwrocone korekta iade retour terugbetaald "
    "creditnota creditfactuur rimborsato reso kreditnota dobropis refund refunded return returned chargeback "
    "credit reversal reversed storno erstattet"
)
NO_SALES = split_words(
    "fee fees commission gebuhr torolve storno cancelled canceled void voided failed declined rejected pending "
    "unpaid open draft expired abandoned storniert cancelado cancelada anulado anulada annule annulee geannuleerd "
    "annullato makulerad annulleret peruttu anulowane denegada denegado rechazada rechazado recusada recusado "
    "refuse refusee erreur expirado expirada expiree caducado fallido fallida falhou geweigerd verlopen "
    "afgebroken odrzucone odrzucona nieoplacone zruseno zrusena stornovano avbruten avbestalld annullerad "
    "peruutettu iptal reddedildi basarisiz abandonado abandonada pendente pendiente attente beklemede bekliyor "
    "oczekuje openstaand behandeling preparation abgebrochen abgelehnt fehlgeschlagen echoue mislukt error "
    "refused denied lost checked_in checkin no_show noshow overdue due payment_due view cart click add_to_cart "
    "remove_from_cart visit session login search wishlist impression test created unavailable on_hold authorized "
    "offen ausstehend reverted redeem earn withdrawal payout キャンセル 取消 交易关闭 已取消 отменен отмена"
)
UNCERTAIN = split_words(
    "processing partially_refunded partially_paid in_progress pending unpaid open overdue due payment_due created "
    "pendente pendiente attente beklemede bekliyor oczekuje openstaand behandeling preparation on_hold authorized "
    "unavailable offen ausstehend redeem earn reverted withdrawal payout"
)
# Parts of values in scripts without blanks between words, in the order in which they count.
PARTS = (
    ("return", split_words("退款 退货 退貨 返品 返金 반품 환불 возврат")),
    ("none", split_words("取消 キャンセル 关闭 關閉 失败 失敗 删除 未 待 保留 취소 대기 отмен отказ")),
    ("sale", split_words("成功 完成 完了 処理済 已付款 已发货 已收货 发货 発送 出荷 入金 支付 완료 결제 배송")),
)
# Kinds of documents in columns of codes: of Sage, and of customers in SAP.
DOCUMENT_CODES = (
    {"si": "sale", "sc": "return", "sr": "none", "sa": "none", "sd": "none", "pi": "none", "pp": "none", "bp": "none"},
    {"rv": "sale", "dr": "sale", "dg": "return", "dz": "none", "ab": "none", "sb": "none"},
    {"f1": "sale", "f2": "sale", "g2": "return", "re": "return", "s1": "return", "s2": "return", "l2": "sale"},
)
UNDECIDED_PARTS = ("未", "待", "保留", "대기")
WON = ("won", "gewonnen", "gagne", "ganado", "ganada")
INVOICES = split_words("invoice rechnung factura facture fattura faktura fatura factuur")
PAYMENTS = split_words(
    "payment zahlung zahlungseingang pago paiement reglement betaling platnosc pagamento odeme tahsilat"
)
NEGATIONS = split_words("not non nicht no niet inte ikke nie sin kein un")
NO_SALE_STEMS = split_words(
    "cancel void storn annul anul refund revers declin chargeback zuruck abgelehnt unpaid reject"
)
FLAGS = split_words(
    "cancel void refund storn makulerad annul anulad geannuleerd iptal peruutettu 取消 キャンセル 취소 作废 "
    "return deleted test"
)
FLAGS_ANYWHERE = split_words("cancel void refund storn")
FLAGS_LEFT_OUT = tuple(word for word in FLAGS if word not in ("refund", "return"))
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
    "guest unknown anonymous none na n/a null 0 -1 00000 999999 99999 walk-in walkin cash test default gast "
    "unbekannt invitado invité noreply undefined"
)
# Words of headers in languages whose letters need another encoding than those of western Europe.
WORDS_BY_ENCODING = {
    "cp1254": split_words(
        "tarih tarihi tutar tutari toplam musteri siparis cari unvani urun adet fatura fiyati kdv odeme"
    ),
    "cp1250": split_words(
        "zamowienia zamowienie kwota klient faktury sprzedazy wartosc nabywca platnosci ilosc wysylki waluta numer "
        "cena stav jmeno dph kod castka zakaznik objednavka celkem mena vevo osszeg szamla mennyiseg rendeles kupac "
        "iznos racun narudzba"
    ),
}
_NAMES = (*CUSTOMER, *EMAIL, *ORDER, *OTHER, *TOTAL, *PRICE, *QUANTITY, *DATES, *TIME_FIRST, *TIME_PAID, *STATUS)
NAMES_IN_OTHER_SCRIPTS = frozenset(word for word in _NAMES if not word.isascii() and len(word) > 1)
